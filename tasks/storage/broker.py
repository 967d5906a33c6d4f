"""Celery's way to Redis: kombu's transport on the connections of `tasks.storage.connections`.

kombu builds its connections from a URL in a reading of its own: no certificate is verified, Sentinels get no password,
and a server that is no longer the primary is kept. Here they are the same connections as ours.
"""

from typing import Any

from kombu.transport import redis
from kombu.utils.json import dumps

from tasks.storage import keys
from tasks.storage.connections import Pool, SentinelPool, make_pool
from tasks.storage.redis_url import RedisAddress

REPLY_LIFE = 10_000  # ms


class Channel(redis.Channel):
    """kombu's channel. `address` comes with the transport's options."""

    address: RedisAddress
    socket_timeout: float  # type: ignore[assignment]
    socket_connect_timeout: float  # type: ignore[assignment]
    from_transport_options = (*redis.Channel.from_transport_options, "address")  # type: ignore[assignment]
    listeners = 0  # who received the last message of those that go to all who listen, as events do

    def _get_pool(self, asynchronous: bool = False) -> Pool | SentinelPool:
        self.keyprefix_fanout = self.keyprefix_fanout.format(db=self.address.db)
        pool = make_pool(
            self.address,
            self.socket_connect_timeout,
            self.socket_timeout,
            health_check_interval=self.health_check_interval,
            max_connections=self.max_connections,
            client_name=self.client_name,
        )
        if asynchronous:  # those that are polled: kombu is to know when one closes
            pool.on_disconnect = self._disconnected
        return pool

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        """As kombu's own, which gives no life to a reply to `celery inspect`: it would stay if nobody fetches it."""
        is_reply = queue.endswith(keys.control_reply(""))
        if is_reply:
            self._expires[queue] = REPLY_LIFE
        try:
            super()._put(queue, message, **kwargs)
        finally:
            if is_reply:
                del self._expires[queue]

    def _put_fanout(self, exchange: str, message: Any, routing_key: str, **kwargs: Any) -> None:
        """As kombu's own, which does not look at how many have received it."""
        if "_publish_batch" in kwargs:
            super()._put_fanout(exchange, message, routing_key, **kwargs)
            return
        topics, text = self._get_publish_topics(exchange, routing_key), dumps(message)
        with self.conn_or_acquire() as client:
            self.listeners = sum(client.publish(topic, text) for topic in topics)

    def _disconnected(self, connection: Any) -> None:
        if self._registered:
            self._on_connection_disconnect(connection)

    def _disconnect_pools(self) -> None:
        pools = [pool for pool in (self._pool, self._async_pool) if isinstance(pool, SentinelPool)]
        super()._disconnect_pools()
        for pool in pools:
            pool.sentinel_manager.close()


class Transport(redis.Transport):
    """kombu's transport over these channels."""

    Channel = Channel
    brpop_timeout = 2  # seconds that a worker waits for a message before it asks again
    can_parse_url = True  # so that kombu does not: the address is in the options

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """For logs: the URL, which has no password. kombu would look for one port in it, and Sentinels have several.

        With the password it is for Flower, which opens a connection of its own to count what waits in the queues.
        """
        address = (self.client.transport_options or {}).get("address") if self.client is not None else None
        return address.kombu_url() if include_password and address is not None else uri
