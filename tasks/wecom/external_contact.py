"""客户联系: all calls below externalcontact/, one file per subject."""

from .acquisition import Acquisition
from .contact_ways import ContactWays
from .customers import Customers
from .group_chats import GroupChats
from .group_messages import GroupMessages
from .intercept_rules import InterceptRules
from .moments import Moments
from .product_albums import ProductAlbums
from .tags import Tags
from .transfers import Transfers
from .welcomes import Welcomes


class ExternalContact(
    Customers,
    ContactWays,
    Welcomes,
    GroupMessages,
    Moments,
    Tags,
    Transfers,
    GroupChats,
    Acquisition,
    ProductAlbums,
    InterceptRules,
):
    """Calls below externalcontact/, each named after the rest of its path, with `_` for `/`."""
