"""The online store in Redis.

    online_store:
      type: tidegate.adapters.feast_store.online_redis.NewestRedisOnlineStore
      url: ${TIDEGATE_ONLINE_URL}     # like redis://:password@host:6379/0?prefix=shop, or rediss:// for TLS

A view is two hashes, a field a key: its window, and what Feast wrote beside it. A window is written whole under a name
of its own and then takes the old one's place, in one step: who reads meanwhile sees one of both, and what a killed
writer had begun goes by itself. For that step both lie in memory.
"""

from __future__ import annotations

import functools
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
from feast.repo_config import FeastConfigBaseModel

from tidegate.adapters.feast_store.newest import (
    Expiry,
    Found,
    NewestOnlineStore,
    Row,
    Writes,
    moment_of,
    ticks,
)
from tidegate.application.ports import OnlineWindow
from tidegate.domain.errors import BadInput, DependencyFailed

_DIGITS, _STAMP = 18, 36  # a row begins with its two times, as digits of one length: they compare as text
_PER_CALL = 500
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_SECONDS_TO_CONNECT, _SECONDS_TO_ANSWER = 5, 30
#: What a killed writer had begun goes after this long; a writer that lives puts it off with each call.
_BEGUN_SECONDS = 600

#: Keep each of field, value, … in the hash, unless what is there is later.
_PUT = f"""
for i = 1, #ARGV, 2 do
  local there = redis.call('HGET', KEYS[1], ARGV[i])
  if not there or string.sub(there, 1, {_STAMP}) <= string.sub(ARGV[i + 1], 1, {_STAMP}) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
"""
#: Keep each of field, value, … in the view's window, unless what is there is later; at the end note the push. A window
#: that is another one by now is left alone.
_ENTER = f"""
local there = redis.call('GET', KEYS[2])
if not there then return 'none' end
local window = cjson.decode(there)
local pushed = window.pushed or 0
if window['until'] ~= ARGV[1] or window.source ~= ARGV[2] then return 'moved' end
if pushed >= tonumber(ARGV[3]) then return 'there' end
if redis.call('HLEN', KEYS[1]) ~= window.rows then return 'lost' end
for i = 5, #ARGV, 2 do
  local row = redis.call('HGET', KEYS[1], ARGV[i])
  if not row or string.sub(row, 1, {_STAMP}) <= string.sub(ARGV[i + 1], 1, {_STAMP}) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
window.rows = redis.call('HLEN', KEYS[1])
if ARGV[4] == 'last' then window.pushed = tonumber(ARGV[3]) end
redis.call('SET', KEYS[2], cjson.encode(window))
return 'taken'
"""
#: Put what was begun in the place of the view, if all of it is there, unless the view's window is later, or the same.
_TAKE_PLACE = """
local there = redis.call('GET', KEYS[3])
if there then
  local window = cjson.decode(there)
  local whole = redis.call('HLEN', KEYS[2]) == window.rows
  local same = window['until'] == ARGV[1] and window.source == ARGV[4] and window.rows == tonumber(ARGV[2])
    and (window.pushed or 0) == tonumber(ARGV[5])
  if window['until'] > ARGV[1] or (same and whole) then
    redis.call('UNLINK', KEYS[1])
    return 'there'
  end
end
if redis.call('HLEN', KEYS[1]) ~= tonumber(ARGV[2]) then
  redis.call('UNLINK', KEYS[1])
  return 'lost'
end
redis.call('UNLINK', KEYS[2])
if tonumber(ARGV[2]) > 0 then
  redis.call('PERSIST', KEYS[1])
  redis.call('RENAME', KEYS[1], KEYS[2])
end
redis.call('SET', KEYS[3], ARGV[3])
return 'taken'
"""


#: Remove keys from both hashes, and say in the window how many rows are left of it.
_REMOVE = """
for i = 1, #ARGV do
  redis.call('HDEL', KEYS[1], ARGV[i])
  redis.call('HDEL', KEYS[2], ARGV[i])
end
local window = redis.call('GET', KEYS[3])
if window then
  local left = string.format('"rows": %d', redis.call('HLEN', KEYS[1]))
  redis.call('SET', KEYS[3], (string.gsub(window, '"rows": %d+', left)))
end
"""


class NewestRedisOnlineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc] # Feast has no types
    """``?prefix=NAME`` in the address begins every key, so that projects of one name can share a server."""

    type: str = "tidegate.adapters.feast_store.online_redis.NewestRedisOnlineStore"
    url: str = "redis://localhost:6379/0"
    expiry: Expiry = "clock"
    writes: Writes = "feast"


class NewestRedisOnlineStore(NewestOnlineStore):
    """One server, without a cluster: a window changes places in one step, which a cluster cannot do over its nodes."""

    def __init__(self) -> None:
        self._client: Any = None

    def put(self, config: Any, name: str, rows: Sequence[Row]) -> None:
        """Keep each row, unless the one that is there is later."""
        with self._asked(config, "writing") as client:
            place = _place(config, name)
            for start in range(0, len(rows), _PER_CALL):
                some = rows[start : start + _PER_CALL]
                client.eval(
                    _PUT, 1, f"{place}:pushed", *(part for row in some for part in (row.key, _packed(row)))
                )

    def replace(self, config: Any, name: str, rows: Sequence[Row], window: OnlineWindow) -> bool:
        """Write a window beside the one before it, and put it in its place in one step.

        Raises:
            DependencyFailed: Redis does not answer, or lost a part of it meanwhile.
        """
        with self._asked(config, "materializing") as client:
            place = _place(config, name)
            begun = f"{place}:begun:{uuid.uuid4().hex}"
            for start in range(0, len(rows), _PER_CALL):
                some = rows[start : start + _PER_CALL]
                with client.pipeline(transaction=True) as pipe:
                    pipe.hset(begun, mapping={row.key: _packed(row) for row in some})
                    pipe.expire(begun, _BEGUN_SECONDS)
                    pipe.execute()
            until, count = f"{ticks(window.until):0{_DIGITS}d}", len({row.key for row in rows})
            told = (until, count, _text(window), window.source, window.pushed)
            said = client.eval(_TAKE_PLACE, 3, begun, place, f"{place}:window", *told)
        if said == b"lost":
            raise DependencyFailed(
                "online-lost",
                f"got less of {name} from Redis than was just written to it, expected all {window.rows} rows",
                "see its maxmemory policy and whether it was restarted, and run it again: what was online is untouched",
            )
        return bool(said == b"taken")

    def enter(self, config: Any, name: str, rows: Sequence[Row], pushed: int) -> bool:
        """Keep pushed rows in the window, some hundred in one step; the last of them notes the push.

        Raises:
            DependencyFailed: Redis does not answer, or lost a part of the window.
        """
        place = _place(config, name)
        while True:
            with self._asked(config, "pushing") as client:
                kept = client.get(f"{place}:window")
                if kept is None:
                    return False
                there, said = _window(kept), b"taken"
                until = f"{ticks(there.until):0{_DIGITS}d}"
                for start in range(0, max(len(rows), 1), _PER_CALL):
                    some = rows[start : start + _PER_CALL]
                    step = "last" if start + _PER_CALL >= len(rows) else "more"
                    parts = (part for row in some for part in (row.key, _packed(row)))
                    window = (until, there.source, pushed, step)
                    said = client.eval(_ENTER, 2, place, f"{place}:window", *window, *parts)
                    if said != b"taken":
                        break
            if said == b"lost":
                raise _lost(name, "fewer", f"the {there.rows}")
            if said != b"moved":  # a window that took its place meanwhile is written to again
                return bool(said == b"taken")

    def find(self, config: Any, asked: Sequence[tuple[str, Sequence[bytes]]]) -> Sequence[Found]:
        """Return what is online, in one step.

        Raises:
            DependencyFailed: Redis does not answer, or lost rows of a window.
        """
        with self._asked(config, "reading") as client, client.pipeline(transaction=True) as pipe:
            for name, keys in asked:
                place = _place(config, name)
                pipe.get(f"{place}:window")
                pipe.hlen(place)
                if keys:
                    pipe.hmget(place, keys)
                    pipe.hmget(f"{place}:pushed", keys)
            told = iter(pipe.execute())
        found = []
        for name, keys in asked:
            kept, rows = next(told), next(told)
            window = _window(kept) if kept else None
            if window and rows != window.rows:
                if not keys:
                    found.append(Found(None, ()))  # asked what is there: nothing that counts
                    continue
                raise _lost(name, str(rows), f"the {window.rows}")
            both = zip(next(told), next(told), strict=True) if keys else ()
            found.append(Found(window, [_later(brought, pushed) for brought, pushed in both]))
        return found

    def drop(self, config: Any, names: Sequence[str]) -> None:
        """Remove these views' hashes and windows."""
        places = [_place(config, name) for name in names]
        if places:
            with self._asked(config, "removing views") as client:
                client.unlink(*(place + end for place in places for end in ("", ":pushed", ":window")))

    def rows(self, config: Any, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key of a view with its body, of both hashes."""
        with self._asked(config, "searching") as client:
            for place in (_place(config, name), f"{_place(config, name)}:pushed"):
                for key, packed in client.hscan_iter(place, count=_PER_CALL):
                    yield key, packed[_STAMP:]

    def remove(self, config: Any, name: str, keys: Sequence[bytes]) -> None:
        """Remove these keys from both hashes, some hundred in one step."""
        place = _place(config, name)
        with self._asked(config, "removing rows") as client:
            for start in range(0, len(keys), _PER_CALL):
                some = keys[start : start + _PER_CALL]
                client.eval(_REMOVE, 3, place, f"{place}:pushed", f"{place}:window", *some)

    def wipe(self, config: Any) -> None:
        """Do nothing: what Redis writes to disk is its server's, which writes it anew by itself."""

    @contextmanager
    def _asked(self, config: Any, doing: str) -> Iterator[Any]:
        """Yield the client; what it raises is one sentence, which never holds a password.

        Raises:
            DependencyFailed: Redis does not answer, or refuses. BadInput: the address is none.
        """
        url = config.online_store.url
        if self._client is None:
            if unset := _VARIABLE.search(url):
                # Without braces it may be a password with a dollar in it: that is not repeated.
                name = unset.group(1) if unset.group(0).startswith("${") else ""
                raise BadInput(
                    "no-variable",
                    f"got no environment variable {name or 'of a name after a $ in it'}, expected the address of the "
                    "online store in it",
                    "set it, like redis://host:6379/0; a $ in a password is written %24",
                )
            self._client = _client(url)
        try:
            yield self._client
        except redis.RedisError as error:
            raise DependencyFailed(
                "online-store-gone",
                f"got {type(error).__name__} from Redis at {_public(url)} while {doing} "
                f"({_first_line(error)}), expected an answer",
                "start it and run the same again: what was online is as it was",
            ) from error


def _client(url: str) -> Any:
    """Return a client of an address whose every part is understood: Redis' own reading passes over some.

    Raises:
        BadInput: it is none. Where the fault lies is told, the address is not: it may hold a password.
    """
    fault = "it cannot be taken apart (a password with / # ? or @ in it is written percent-encoded)"
    try:
        parts = urlsplit(url)
        port = parts.port
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
            fault = "it does not begin with redis:// or rediss:// and a host"
        elif port == 0 or not re.fullmatch(r"/?[0-9]*", parts.path):
            fault = "after host and port comes no number of a database"
        elif query.get("prefix") == "":
            fault = "its prefix is empty"
        else:
            fault = "an option after the question mark is unknown, or has no such value"
            client = redis.Redis.from_url(
                _split(url)[0],
                socket_connect_timeout=_SECONDS_TO_CONNECT,
                socket_timeout=_SECONDS_TO_ANSWER,
            )
            client.connection_pool.make_connection()  # an unknown option is noticed here, and nothing is connected
            return client
    except (ValueError, TypeError):  # whose texts quote the address
        pass
    raise BadInput(
        "online-address",
        f"got an address of Redis that cannot be read: {fault}; expected one like redis://host:6379/0",
        "mend `online` in the profile, or what it names; or `url` in features/feature_store.yaml",
    )


def _lost(name: str, found: str, expected: str) -> DependencyFailed:
    return DependencyFailed(
        "online-lost",
        f"got {found} rows of {name} in Redis, expected {expected} that were brought online",
        "see its maxmemory policy (noeviction keeps them), and materialize again",
    )


def _place(config: Any, name: str) -> str:
    return f"{_split(config.online_store.url)[1]}:{name}"


def _packed(row: Row) -> bytes:
    return b"%018d%018d" % (row.event, row.created) + row.body


def _later(brought: bytes | None, pushed: bytes | None) -> tuple[int, bytes] | None:
    """Return the later of two rows; of one moment, what was pushed."""
    row = max((each for each in (pushed, brought) if each), key=lambda each: each[:_STAMP], default=None)
    return (int(row[:_DIGITS]), row[_STAMP:]) if row else None


def _text(window: OnlineWindow) -> str:
    until = f"{ticks(window.until):0{_DIGITS}d}"
    told = {"until": until, "source": window.source, "rows": window.rows, "pushed": window.pushed}
    return json.dumps(told, sort_keys=True)


def _window(text: bytes) -> OnlineWindow:
    kept = json.loads(text)
    return OnlineWindow(moment_of(int(kept["until"])), kept["source"], kept["rows"], kept.get("pushed", 0))


@functools.cache
def _split(url: str) -> tuple[str, str]:
    """Return the address without our own parameter, and that: what begins every key."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    prefix = query.pop("prefix", "tidegate")
    return urlunsplit(parts._replace(query=urlencode(query))), prefix


def _public(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
