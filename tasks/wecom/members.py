"""通讯录: members and departments. Docs 90196, 90200, 90201, 96067, 95350, 95351, 90208."""

from .calls import GET, POST, Fields, Resource, paginate
from .limits import within


def is_same_member(one: object, other: object) -> bool:
    """Whether two userids name one member: their case may differ from call to call. Doc 90195."""
    return isinstance(one, str) and isinstance(other, str) and one.lower() == other.lower()


class Members(Resource):
    """Calls below user/."""

    @GET("user/get")
    def get(self, userid: str) -> Fields:
        """A member. Doc 90196.

        userid: its id, in upper or lower case.
        → {userid, name, alias, position, department: [id], main_department, status: 1 active | 2 disabled | 4 not
        activated | 5 left, …}; apps created since 2022-06-20 do not get mobile, email, avatar, gender and address.
        Errors: Final 60111 no such member, Misconfigured 60011 out of the app's range.
        """
        return {"userid": userid}

    @GET("user/simplelist")
    def simplelist(self, department_id: int) -> Fields:
        """The members of a department, without those of the departments below it. Doc 90200.

        department_id: its id; the root is 1.
        → {"userlist": [{userid, name, department: [id]}]}
        """
        return {"department_id": department_id}

    @GET("user/list")
    def list(self, department_id: int) -> Fields:
        """The members of a department with all their fields, without those of the departments below it. Doc 90201.

        department_id: its id; the root is 1.
        → {"userlist": [{as for get}]}
        Errors: Misconfigured 48009 with the secret of 通讯录同步 from a new IP.
        """
        return {"department_id": department_id}

    @POST("user/list_id")
    def list_id(self, cursor: str | None = None, limit: int | None = None) -> Fields:
        """The ids of all members, with one row per department of a member. Doc 96067.

        cursor: next_cursor of the previous page. limit: entries per page, at most 10 000.
        → {"dept_user": [{userid, department}], "next_cursor"}
        Errors: Misconfigured 48002 unless the secret is that of 通讯录同步.
        """
        within("limit", limit, 1, 10_000)
        return {"cursor": cursor, "limit": limit}

    iter_list_id = paginate(list_id, "dept_user")


class Departments(Resource):
    """Calls below department/."""

    @GET("department/simplelist")
    def simplelist(self, id: int | None = None) -> Fields:
        """The ids of a department and of all below it. Doc 95350.

        id: its id; by default everything in the app's range.
        → {"department_id": [{id, parentid, order}]}
        """
        return {"id": id}

    @GET("department/get")
    def get(self, id: int) -> Fields:
        """A department. Doc 95351.

        id: its id; the root is 1.
        → {"department": {id, name, name_en, department_leader: [userid], parentid, order}}
        """
        return {"id": id}

    @GET("department/list")
    def list(self, id: int | None = None) -> Fields:
        """A department and all below it with all their fields; WeCom advises simplelist and get instead. Doc 90208.

        id: its id; by default everything in the app's range.
        → {"department": [{id, name, name_en, department_leader: [userid], parentid, order}]}
        """
        return {"id": id}
