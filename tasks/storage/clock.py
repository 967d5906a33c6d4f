"""Redis' clock, which all processes share: hosts' clocks differ."""

from tasks.storage.connections import Redis


def now_ms(client: Redis) -> int:
    """Milliseconds since 1970. Raises redis.RedisError."""
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def seconds(reply: tuple[int, int]) -> float:
    """Seconds since 1970, of the reply to a TIME in a pipeline."""
    whole, micros = reply
    return whole + micros / 1e6
