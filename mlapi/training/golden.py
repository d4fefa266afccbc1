"""The texts whose scores every manifest of this project records, in our own words."""

from __future__ import annotations

GOLDEN_TEXTS = (
    "What a lovely evening, we laughed from the first minute to the last.",
    "The plot goes nowhere and the jokes fall flat.",
    "It is not bad at all, and I would not call it boring either.",
    "The pictures are gorgeous, but the story is a mess and the ending is worse.",
    "Loved it 😍🎉 will watch again!!!",
    "Un café très agréable, naïve but charming: a déjà-vu in the best sense.",
    "Terrible",
    "",
    "THE WORST TWO HOURS OF MY YEAR?! Never again…",
    "東京 is where it was filmed, and that is the most exciting thing about it.",
    " ".join(["a good film, "] * 200).strip(),
)
"""Plain praise and blame, negation, mixed feelings, emoji, accents, one word, nothing, capitals, another
script, and one text of 800 tokens or so, more than any model here takes."""
