"""HTTP: routes, schemas, problems, middleware. FastAPI lives here and in `mlapi.main` alone."""
