"""客户联系: all calls below externalcontact/, put together from one file a subject."""

from tasks.wecom.acquisition import Acquisition
from tasks.wecom.contact_ways import ContactWays
from tasks.wecom.customers import Customers
from tasks.wecom.group_chats import GroupChats
from tasks.wecom.group_messages import GroupMessages
from tasks.wecom.intercept_rules import InterceptRules
from tasks.wecom.moments import Moments
from tasks.wecom.product_albums import ProductAlbums
from tasks.wecom.tags import Tags
from tasks.wecom.transfers import Transfers
from tasks.wecom.welcomes import Welcomes


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
    """Calls below externalcontact/, each under the rest of its path with `_` for `/`."""
