"""Addresses of WeCom's servers. Docs 92521, 92520."""

from .calls import GET, Caller, Fields


class Network:
    """Calls of no resource: the client has them itself."""

    @property
    def _client(self) -> Caller:
        raise NotImplementedError

    @GET("getcallbackip")
    def getcallbackip(self) -> Fields:
        """Where WeCom's callbacks come from, for a firewall; read it daily, and do not rely on it alone. Doc 92521.

        → {"ip_list": [address, or a form like 101.226.103.*]}
        """
        return {}

    @GET("get_api_domain_ip")
    def get_api_domain_ip(self) -> Fields:
        """Where WeCom's API is, for a firewall. Doc 92520.

        → {"ip_list": [address]}
        """
        return {}
