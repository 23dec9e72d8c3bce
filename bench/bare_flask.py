"""The baseline: an endpoint with one INSERT and commit, and one that serves one JSON from Redis."""

import os

import redis
from flask import Flask, Response
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"].replace(
    "postgresql://", "postgresql+psycopg2://"
)
db = SQLAlchemy(app)
cache: redis.Redis = redis.Redis.from_url(os.environ["REDIS_URL"])
with app.app_context():
    db.session.execute(
        text("CREATE TABLE IF NOT EXISTS bare (id bigserial PRIMARY KEY, name text, at timestamptz)")
    )
    db.session.commit()
cache.set("bare", b'{"id":1,"name":"shop","version":"1","status":"available","artifact":"","changes":""}')


@app.post("/bare")
def insert() -> tuple[dict[str, int], int]:
    """One INSERT and one commit."""
    statement = text("INSERT INTO bare (name, at) VALUES (:name, now()) RETURNING id")
    made = db.session.execute(statement, {"name": "shop"}).scalar_one()
    db.session.commit()
    return {"id": made}, 202


@app.get("/bare")
def cached() -> Response:
    """One cached JSON."""
    return Response(cache.get("bare"), mimetype="application/json")
