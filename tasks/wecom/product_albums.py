"""商品图册: the corp's products, which members show in chats. Doc 95096."""

from collections.abc import Mapping, Sequence
from typing import Any

from .calls import POST, Fields, Resource, paginate
from .limits import characters, entries, utf8_bytes, within

PRICE = 5_000_000  # 分: 50 000 yuan


class ProductAlbums(Resource):
    """Calls below externalcontact/ about product albums."""

    @POST("externalcontact/add_product_album")
    def add_product_album(
        self,
        description: str,
        price: int,
        attachments: Sequence[Mapping[str, Any]],
        product_sn: str | None = None,
    ) -> Fields:
        """Create a product. Doc 95096.

        description: name and features, at most 300 characters. price: in 分, at most 50 000 yuan. attachments: at most
        9 images, {"type": "image", "image": {"media_id": from media/upload_attachment}}. product_sn: your own number,
        at most 128 letters and digits.
        → {"product_id": id}
        """
        _product(description, price, attachments, product_sn)
        return {"description": description, "price": price, "product_sn": product_sn, "attachments": attachments}

    @POST("externalcontact/get_product_album")
    def get_product_album(self, product_id: str) -> Fields:
        """A product. Doc 95096.

        product_id: its id.
        → {"product": {product_id, description, price, create_time, product_sn, attachments}}
        """
        return {"product_id": product_id}

    @POST("externalcontact/get_product_album_list")
    def get_product_album_list(self, limit: int | None = None, cursor: str | None = None) -> Fields:
        """All products. Doc 95096.

        limit: entries per page, 50 by default, at most 100. cursor: next_cursor of the previous page.
        → {"product_list": [{product_id, description, price, product_sn, attachments}], "next_cursor"}
        """
        within("limit", limit, 1, 100)
        return {"limit": limit, "cursor": cursor}

    iter_get_product_album_list = paginate(get_product_album_list, "product_list")

    @POST("externalcontact/update_product_album")
    def update_product_album(
        self,
        product_id: str,
        description: str | None = None,
        price: int | None = None,
        attachments: Sequence[Mapping[str, Any]] | None = None,
        product_sn: str | None = None,
    ) -> Fields:
        """Update a product that this app created; what is None stays as it is. Doc 95096.

        product_id: its id. description, price, attachments, product_sn: as for add_product_album.
        → {} with errcode 0.
        """
        _product(description, price, attachments, product_sn)
        return {
            "product_id": product_id,
            "description": description,
            "price": price,
            "product_sn": product_sn,
            "attachments": attachments,
        }

    @POST("externalcontact/delete_product_album")
    def delete_product_album(self, product_id: str) -> Fields:
        """Delete a product that this app created. Doc 95096.

        product_id: its id.
        → {} with errcode 0.
        """
        return {"product_id": product_id}


def _product(description: str | None, price: int | None, attachments: Any, product_sn: str | None) -> None:
    characters("description", description, 300, least=1)
    within("price", price, 0, PRICE)
    entries("attachments", attachments, 9, least=1)
    utf8_bytes("product_sn", product_sn, 128)
