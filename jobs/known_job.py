"""What a worker takes from Redis: the name of a job of ours and one number, read with bounds; nothing else.

Whoever can write to Redis would otherwise run what they like: RQ imports any function that an entry names, and calls
back, retries, repeats and sends web requests as the entry says. docs/decisions/0017 has the reasoning.
"""

from __future__ import annotations

import json
import logging
import zlib
from typing import Any, cast

from redis import Redis, ResponseError
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from portal import job_queue
from portal.services.operations import heartbeat

_LONGEST = 300  # octets of an entry, packed or not; ours have about 60
_LARGEST = 2**63  # ids are 64 bits wide
_WORK = frozenset(job_queue.Work)

log = logging.getLogger(__name__)


class Refused(Exception):
    """The entry is none of our jobs; its text says what is wrong and quotes nothing of it."""


class KnownJob(Job):
    """A job as RQ handles it, made anew from a name that is ours and a number."""

    @classmethod
    def fetch(cls, id: str, connection: Redis | None = None, serializer: Any = None) -> Job:
        """Read one entry. Raises NoSuchJobError, upon which RQ goes on with the next, if it is refused."""
        assert connection is not None
        try:
            name, number, origin = _read(connection, cls.key_for(id))
            return cls.create(
                name, args=(number,), id=id, origin=origin, connection=connection, serializer=JSONSerializer,
                timeout=job_queue.NO_TIMEOUT, result_ttl=0, failure_ttl=job_queue.KEPT_SECONDS,
            )  # fmt: skip
        except ValueError:  # RQ's, about the id
            reason = "its id is none that RQ makes"
        except Refused as refused:
            reason = str(refused)
            connection.delete(cls.key_for(id))
        refuse(reason)
        raise NoSuchJobError

    @classmethod
    def fetch_many(cls, job_ids: Any, connection: Redis, serializer: Any = None) -> list[Job | None]:
        """Read the jobs that wait for another: ours never do, whatever Redis says."""
        return [None for _ in job_ids]

    def restore(self, raw_data: Any) -> None:
        """Take over an entry with everything in it: never."""
        raise NoSuchJobError


class KnownQueue(Queue):
    """A queue that steps over what is no id at all."""

    job_class = KnownJob

    @classmethod
    def dequeue_any(cls, *arguments: Any, **more: Any) -> tuple[Job, Queue] | None:
        while True:
            try:
                return super().dequeue_any(*arguments, **more)
            except UnicodeDecodeError:
                refuse("its id is no text")


def refuse(reason: str) -> None:
    """Say and count that an entry was refused."""
    log.error("refused an entry of the job queue, which only Absender may write: %s", reason)
    heartbeat.count_refused_job()


def _read(connection: Redis, key: str) -> tuple[str, int, str]:
    """The job's name, its number and its queue. Raises Refused; NoSuchJobError if there is no such entry."""
    try:
        lengths = [connection.hstrlen(key, field) for field in ("data", "origin")]
        if not any(lengths):
            raise NoSuchJobError  # cancelled, expired, or Redis was emptied
        if max(lengths) > _LONGEST:
            raise Refused("it is too long")
        data, origin = cast(list[bytes | None], connection.hmget(key, ["data", "origin"]))
    except ResponseError:
        raise Refused("it is no hash") from None
    queue = (origin or b"").decode(errors="replace")
    if queue not in job_queue.QUEUES:
        raise Refused("it belongs to another queue")
    return *_judged(_unpacked(data or b"")), queue


def _unpacked(data: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(data, _LONGEST)
    except zlib.error:
        raise Refused("it can't be unpacked") from None
    if not unpacking.eof:
        raise Refused("it is too long")
    return unpacked


def _judged(text: bytes) -> tuple[str, int]:
    """The name and the number of what RQ's JSONSerializer wrote: function, instance, arguments, keywords."""
    try:
        match json.loads(text):
            case [str(name), None, [int(number)], dict(keywords)] if not keywords:
                pass
            case _:
                raise Refused("it isn't a name with one number")
    except ValueError:
        raise Refused("it isn't JSON") from None
    name = job_queue.EARLIER.get(name, name)
    if name not in _WORK:
        raise Refused("it names a function that is none of our jobs")
    if type(number) is not int or not 0 < number < _LARGEST:
        raise Refused("its number can be no id")
    return name, number
