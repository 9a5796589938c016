"""FastAPI on uvicorn with a worker per core: https://fastapi.tiangolo.com/deployment/server-workers.

`async def`, since it reads the body (https://fastapi.tiangolo.com/async).
"""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from bench.work import Work, encoded

app = FastAPI()
work = Work.told()


@app.post("/predict")
async def predict(request: Request) -> Response:
    return Response(encoded(work.one(await request.body())), media_type="application/json")
