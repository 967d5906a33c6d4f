"""Addresses of WeCom's servers. Docs 92521, 92520."""

from .calls import GET, Caller, Fields


class Network:
    """Calls that belong to no resource: they are methods of the client itself."""

    @property
    def _client(self) -> Caller:
        raise NotImplementedError

    @GET("getcallbackip")
    def getcallbackip(self) -> Fields:
        """The addresses that WeCom's callbacks come from: read them daily, and do not rely on them alone. Doc 92521.

        → {"ip_list": [address, or a form like 101.226.103.*]}
        """
        return {}

    @GET("get_api_domain_ip")
    def get_api_domain_ip(self) -> Fields:
        """The addresses of WeCom's API, for a firewall. Doc 92520.

        → {"ip_list": [address]}
        """
        return {}
