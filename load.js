// k6 load test of the service, both routes: most texts come again and again, the rest nobody ever sent before.
//
//     k6 run load.js                                             http://127.0.0.1:8000
//     k6 run -e NAMESPACE=reviews -e DOMAIN=example.com load.js  https://reviews.example.com
//
// docs/load-test.md lists the -e variables and says how to read the summary. One file that imports nothing but what
// k6 brings, so that it can be copied to wherever the load is to come from.

import { check, sleep } from 'k6';
import crypto from 'k6/crypto';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Rate } from 'k6/metrics';

// The most frequent first. They are ordinary words, so that a text has as many tokens as a message of its length.
const ENGLISH = `
  the and a of to is it in was this for that with but on as my have at be not we were so you are had very all they
  from service just good time when there one more get no out staff by about will up which our or if really film like
  an after what here only food room great even their would can some too back again how much than been me hotel
  flight could well over never first place because movie your don't most other did people also nice two made any
  story still who went got way he into she best better them his has do us then her night day little told through bad
  ever before off hour asked wait another plot order next new last love came long think down thing every right
  always make being now minutes nothing try friendly know see customer said bar table while where something family
  around come many check during sure few want found going same lot acting left small looking price far away quite
  both work gave once since enough called scene tell need worth feel clean seemed kind without end whole wonderful
  manager between slow pretty though anyone breakfast took today felt phone everything hard trip city look crew bag
  delay booked moment definitely star money until full each later watch script second old fresh menu bed least busy
  free coffee music part given three point waiting line less almost big person seat waste funny cold arrived lunch
  cast different drive rather yet street experience dull wrong help rude house fine warm bit car fun short early
  already front hope easy water cheap door several perfect bathroom beautiful problem amazing reason keep quality
  pay bill comedy simple walk enjoyed weekend town light recommend half gate late director guest special call window
  hot true hear large floor book friend reply rest boring quick change wanted sound week noise dish excellent
  sitting year deal happy agent honest expected card visit character wine dinner refund comfortable size shop entire
  parking poor box sweet park lost cancelled tiny child dark charming luggage local terrible screen heart strange
  lovely sauce space attention desk helpful plane airport empty picture camera summer message page value weak touch
  pleasant stay question ticket decent taste smart battery beach decided corner audience train garden promise course
  drink loud bright awful tired market soft meal email average polite kitchen chicken update awkward silly deep
  dirty surprise season winter bread station fast spent wife husband favourite heavy twist ending humour clever
  delivery`;

const settings = {
  address: address(),
  prefix: prefix('PREFIX', '/project'),
  users: number('USERS', 10, { from: 1, to: 10000, whole: true }),
  rampUp: duration('RAMP_UP', '30s'),
  hold: duration('HOLD', '10m'),
  rampDown: duration('RAMP_DOWN', '3m'),
  pause: duration('PAUSE', '0s'),
  cacheRate: number('CACHE_RATE', 0.96, { from: 0, to: 1 }),
  repeatedTexts: number('REPEATED_TEXTS', 500, { from: 1, to: 10000, whole: true }),
  bulkShare: number('BULK_SHARE', 0.05, { from: 0, to: 1 }),
  bulkSize: number('BULK_SIZE', 20, { from: 1, to: 10000, whole: true }),
  seed: number('SEED', 1, { from: 0, to: 4294967295, whole: true }),
  words: __ENV.WORDS || 'English',
  summary: __ENV.SUMMARY || 'load-summary.json',
};
if (![settings.rampUp, settings.hold, settings.rampDown].some(seconds)) refuse('HOLD', 'the run would take no time');
const WORDS = wordList();
const PAUSE_S = seconds(settings.pause);
const SERVICE = settings.address + settings.prefix;
const ROUTES = { single: route('predict'), bulk: route('bulk-predict') };
const WARMING_SIZE = 100;
const X_CACHE = /^hits=(\d+), misses=(\d+), coalesced=(\d+)$/;
const SUM_TOLERANCE = 1e-3;
// Of a message's length in words; reviews and tweets in English are much alike in it.
const WORDS_MEAN = 19;
const WORDS_DEVIATION = 9;
// So many random bits make it hopeless to meet, or to guess, another run's texts.
const NONCE_BITS = 60;
const NONCE_WORDS = Math.ceil(NONCE_BITS / Math.log2(WORDS.length));

const cachedTexts = new Rate('cached_texts');
const wrongAnswers = new Counter('wrong_answers');

// The requests that setup() sends to warm the cache bear no scenario, and so are left out.
export const options = {
  stages: [
    { duration: settings.rampUp, target: settings.users },
    { duration: settings.hold, target: settings.users },
    { duration: settings.rampDown, target: 0 },
  ],
  setupTimeout: '5m',
  thresholds: {
    'http_req_duration{scenario:default}': ['p(99)<2000'],
    'http_req_failed{scenario:default}': ['rate<0.01'],
    'http_reqs{scenario:default}': ['rate>=10'],
    cached_texts: leastHits(),
    checks: ['rate>0.99'],
    // A request may fail now and then; an answer may never be wrong.
    wrong_answers: ['count==0'],
  },
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)', 'p(99.99)'],
};

// Finds out which labels the model has, and has every text of the fixed set computed once: from then on it is a hit.
export function setup() {
  const health = http.get(`${SERVICE}/health`, { tags: { name: 'health' } });
  const labels = health.status === 200 ? (parsed(health.body).model || {}).labels : null;
  if (!Array.isArray(labels)) {
    end(`${SERVICE}/health ${outcome(health)}: start the service, or say where it is with -e BASE_URL=…`);
  }
  if (settings.cacheRate > 0) {
    for (let start = 0; start < settings.repeatedTexts; start += WARMING_SIZE) {
      const size = Math.min(WARMING_SIZE, settings.repeatedTexts - start);
      const answer = send(ROUTES.bulk, Array.from({ length: size }, (_, place) => repeatedText(start + place)));
      if (answer.status !== 200) end(`${ROUTES.bulk.url} ${outcome(answer)} while the cache was warmed`);
    }
  }
  return { labels };
}

let user = null;

export default function ({ labels }) {
  user = user || newUser();
  const bulk = user.bulk.next();
  const chosen = [];
  let fresh = 0;
  for (let left = bulk ? settings.bulkSize : 1; left > 0; left -= 1) {
    if (user.fresh.next()) {
      chosen.push(user.author.write(user.written));
      user.written += 1;
      fresh += 1;
    } else {
      chosen.push(repeatedText(below(user.random, settings.repeatedTexts)));
    }
  }
  judge(send(bulk ? ROUTES.bulk : ROUTES.single, bulk ? chosen : chosen[0]), bulk, chosen.length, fresh, labels);
  // Not the same for everyone each time: users that started together would stay together.
  if (PAUSE_S > 0) sleep(PAUSE_S * (0.5 + user.random()));
}

// What a user sends when depends on SEED and on the user's number; its new texts are its own alone.
function newUser() {
  const random = generator(settings.seed, exec.vu.idInTest);
  return {
    random,
    bulk: new Share(settings.bulkShare, random),
    fresh: new Share(1 - settings.cacheRate, random),
    author: new Author(new Uint32Array(crypto.randomBytes(4 * NONCE_WORDS))),
    written: 0,
  };
}

function send(to, text) {
  return http.post(to.url, JSON.stringify({ text }), to.params);
}

function route(name) {
  return {
    url: `${SERVICE}/${name}`,
    params: { headers: { 'Content-Type': 'application/json' }, tags: { name } },
  };
}

function outcome(response) {
  return response.status ? `answered ${response.status}` : `did not answer (${response.error})`;
}

// Counts and checks one answer. A text without an answer, or without word of where it came from, is no hit.
function judge(response, bulk, sent, fresh, labels) {
  const answered = response.status === 200;
  const [, hits, misses, coalesced] = (answered && X_CACHE.exec(response.headers['X-Cache'] || '')) || [0, 0, 0, 0];
  for (let place = 0; place < sent; place += 1) cachedTexts.add(place < Number(hits));
  if (!answered) {
    check(null, { 'status is 200': false });
    return;
  }
  const body = parsed(response.body);
  const predictions = bulk ? body.predictions : [body.prediction];
  const complete =
    Array.isArray(predictions) && predictions.length === sent && predictions.every((one) => isRanking(one, labels));
  const summed = complete && predictions.every(sumsToOne);
  const counted = Number(hits) + Number(misses) + Number(coalesced) === sent && Number(hits) <= sent - fresh;
  check(null, {
    'status is 200': true,
    'every text has every label once, highest score first': complete,
    'scores sum to one': summed,
    'X-Cache counts every text, and no new one as a hit': counted,
  });
  if (!(complete && summed && counted)) wrongAnswers.add(1);
}

function parsed(body) {
  try {
    return JSON.parse(body) || {};
  } catch (_) {
    return {};
  }
}

function isRanking(prediction, labels) {
  return (
    Array.isArray(prediction) &&
    prediction.length === labels.length &&
    prediction.every((item) => item && typeof item.score === 'number') &&
    prediction.every((item, place) => place === 0 || item.score <= prediction[place - 1].score) &&
    labels.every((label) => prediction.some((item) => item.label === label))
  );
}

function sumsToOne(prediction) {
  return Math.abs(prediction.reduce((sum, item) => sum + item.score, 0) - 1) <= SUM_TOLERANCE;
}

// Says yes to a share of calls, at random places but never ahead: of any first n calls at most n * share. Coin flips
// would leave a short run above or below its share by chance.
class Share {
  constructor(share, random) {
    this.share = share;
    this.random = random;
    this.calls = 0;
    this.said = 0;
    this.wait();
  }

  wait() {
    this.due = this.said + 1 + this.random() * (1 - this.share);
  }

  next() {
    this.calls += 1;
    if (this.calls * this.share < this.due) return false;
    this.said += 1;
    this.wait();
    return true;
  }
}

// Writes texts that differ from each other by their number, and from any other author's by the key: the first
// sentence spells both, every word of it shifted by the number, so that no two texts begin alike.
class Author {
  constructor(key) {
    this.key = key;
  }

  write(number) {
    const random = generator(number, this.key[0]);
    const spelt = Array.from(this.key, (part, place) => pick(part + scrambled(number, place)));
    for (let rest = number; rest > 0 || spelt.length === this.key.length; rest = Math.floor(rest / WORDS.length)) {
      spelt.push(pick(rest));
    }
    // Three uniform numbers add up to nearly a normal one of deviation one half.
    const length = WORDS_MEAN + WORDS_DEVIATION * 2 * (random() + random() + random() - 1.5);
    const free = [];
    while (spelt.length + free.length < length) free.push(pick(Math.floor(WORDS.length * random() * random())));
    return free.length ? `${spelt.join(' ')}. ${free.join(' ')}.` : `${spelt.join(' ')}.`;
  }
}

const archivist = new Author(Uint32Array.from({ length: NONCE_WORDS }, (_, place) => scrambled(settings.seed, place)));
const archive = [];

// One of the fixed set: for the same SEED and WORDS the same in every run.
function repeatedText(number) {
  if (archive[number] === undefined) archive[number] = archivist.write(number);
  return archive[number];
}

function pick(number) {
  return WORDS[number % WORDS.length];
}

// A generator of numbers from 0 up to 1, by the name of mulberry32; for two seeds.
function generator(one, other) {
  let state = scrambled(one, other);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

// 32 bits that depend on all bits of both numbers, by the finaliser of MurmurHash3.
function scrambled(one, other) {
  let mixed = Math.imul(one, 0x9e3779b1) ^ (other + 0x7f4a7c15);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function below(random, limit) {
  return Math.floor(random() * limit);
}

// The settings. An empty variable counts as none.

function refuse(name, wanted) {
  end(`${name}=${__ENV[name]}: ${wanted}`);
}

// Throws a string, because k6 shows an Error with its stack, and no line of this file is to blame.
function end(message) {
  throw message;
}

function address() {
  const { BASE_URL, NAMESPACE, DOMAIN } = __ENV;
  if (BASE_URL) {
    if (!/^https?:\/\/[^\s/?#]+(\/[^\s?#]*)?$/.test(BASE_URL)) refuse('BASE_URL', 'give http://… or https://…');
    return BASE_URL.replace(/\/+$/, '');
  }
  if (NAMESPACE && !DOMAIN) refuse('NAMESPACE', 'DOMAIN is missing; add -e DOMAIN=example.com');
  if (DOMAIN && !NAMESPACE) refuse('DOMAIN', 'NAMESPACE is missing; add -e NAMESPACE=…, or give -e BASE_URL=…');
  if (!NAMESPACE) return 'http://127.0.0.1:8000';
  if (!/^[a-z0-9-]+$/i.test(NAMESPACE)) refuse('NAMESPACE', 'give letters, digits and hyphens');
  if (!/^[a-z0-9.-]+(:\d+)?$/i.test(DOMAIN)) refuse('DOMAIN', 'give a name such as example.com');
  return `https://${NAMESPACE}.${DOMAIN}`;
}

function prefix(name, usual) {
  const value = __ENV[name] || usual;
  if (!/^(\/[A-Za-z0-9._~-]+)+$/.test(value)) refuse(name, 'give a path such as /project');
  return value;
}

function number(name, usual, { from, to, whole = false }) {
  if (!__ENV[name]) return usual;
  const value = /^\d*\.?\d+$/.test(__ENV[name]) ? Number(__ENV[name]) : NaN;
  if (!(value >= from && value <= to) || (whole && !Number.isInteger(value))) {
    refuse(name, `give a ${whole ? 'whole ' : ''}number from ${from} to ${to}`);
  }
  return value;
}

function duration(name, usual) {
  const value = __ENV[name] || usual;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(value)) refuse(name, 'give a duration such as 90s, 1m30s or 500ms');
  return value;
}

function seconds(value) {
  const units = { ms: 0.001, s: 1, m: 60, h: 3600 };
  const parts = [...value.matchAll(/([\d.]+)(ms|s|m|h)/g)];
  return parts.reduce((sum, [, size, unit]) => sum + Number(size) * units[unit], 0);
}

function wordList() {
  const text = __ENV.WORDS ? open(__ENV.WORDS) : ENGLISH;
  const words = [...new Set(text.split(/\s+/))].filter((word) => word && !word.includes('.'));
  if (words.length < 100) refuse('WORDS', 'give a file with at least 100 different words');
  return words;
}

// What the cache is to reach. Where fewer repeats are asked for, it is measured by those.
function leastHits() {
  const least = Math.min(0.95, Math.round(1e4 * (settings.cacheRate - 0.01)) / 1e4);
  return least > 0 ? [`rate>${least}`] : [];
}

// The summary.

export function handleSummary(data) {
  const written = { stdout: report(data) };
  if (settings.summary !== 'none') written[settings.summary] = JSON.stringify({ settings, ...data }, null, 2);
  return written;
}

function report({ metrics, root_group: group }) {
  const { users, rampUp, hold, rampDown, cacheRate } = settings;
  const title = `${SERVICE}: ${users} users, ${rampUp} up, ${hold} hold, ${rampDown} down, ${cacheRate} repeats`;
  // To k6 a threshold is kept where nothing was measured.
  if (!metrics.iterations) return `\n${title}\n\nNothing was measured: no request came to its end.\n\n`;
  const lines = ['', title, '', 'THRESHOLDS', ...thresholdLines(metrics)];
  lines.push('', 'CHECKS', ...group.checks.map(checkLine), '', 'METRICS', ...metricLines(metrics), '');
  return `${lines.join('\n')}\n`;
}

function thresholdLines(metrics) {
  const lines = [];
  for (const name of Object.keys(metrics).sort()) {
    for (const [rule, { ok }] of Object.entries(metrics[name].thresholds || {})) {
      const [statistic] = rule.split(/[<>=]/);
      lines.push(`  ${ok ? '✓' : '✗'} ${name}  ${rule}  (${shown(metrics[name], statistic)})`);
    }
  }
  return lines;
}

function checkLine({ name, passes, fails }) {
  return `  ${fails ? '✗' : '✓'} ${name}  (${percent(passes / (passes + fails))}, ${passes} of ${passes + fails})`;
}

function metricLines(metrics) {
  const names = Object.keys(metrics).sort();
  const rows = names.map((name) => [name, cells(metrics[name])]);
  const titles = Math.max(...names.map((name) => name.length));
  const trends = rows.filter(([name]) => metrics[name].type === 'trend').map(([, row]) => row);
  return rows.map(([name, row]) => {
    const padded = trends.includes(row)
      ? row.map((cell, place) => cell.padEnd(Math.max(...trends.map((trend) => trend[place].length))))
      : row;
    return `  ${name.padEnd(titles + 3, '.')}: ${padded.join('  ')}`.trimEnd();
  });
}

function cells(metric) {
  const { type, values } = metric;
  if (type === 'trend') return options.summaryTrendStats.map((name) => `${name}=${shown(metric, name)}`);
  if (type === 'rate') return [percent(values.rate), `${values.passes} of ${values.passes + values.fails}`];
  if (type === 'counter') return [shown(metric, 'count'), shown(metric, 'rate')];
  return [shown(metric, 'value'), `min=${shown(metric, 'min')}`, `max=${shown(metric, 'max')}`];
}

function shown({ type, contains, values }, statistic) {
  const value = values[statistic];
  if (type === 'rate') return percent(value);
  if (contains === 'time') return time(value);
  const ending = type === 'counter' && statistic === 'rate' ? '/s' : '';
  return (contains === 'data' ? bytes(value) : plain(value)) + ending;
}

// Cut off, not rounded: 94.999 % must not look like 95 %.
function percent(share) {
  return `${(Math.floor(share * 1e4) / 100).toFixed(2)}%`;
}

function time(ms) {
  if (ms < 1) return `${(ms * 1000).toFixed(0)}µs`;
  return ms < 1000 ? `${ms.toFixed(2)}ms` : `${(ms / 1000).toFixed(2)}s`;
}

function bytes(count) {
  if (count < 1e3) return `${count.toFixed(0)} B`;
  return count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

function plain(value) {
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}
