"""Cases that are sequences of requests to one server: they are what the vectors ship.

Each uses as little as it can of what other clauses ask for: `fgrab` instead of `grab` where it does
not matter which slot.
"""

from __future__ import annotations

from slotmem_conformance.cases.case import program

_WITH_AN_ID = ("fgrab {}", "release {}", "get {}", "put {} A", "dptr {}")
_JUST_OUT, _FAR_OUT = (
    "; ".join(operation.format(item_id) for item_id in ids for operation in _WITH_AN_ID)
    for ids in ((3, 4, 5), (-1, 2**20, 2**31, 2**32 - 1))
)

PROGRAMS = (
    # Names
    program("NAME-1/null-is-anonymous", "create - 4 2; @0 put 0 ABCD; get 0"),
    program("NAME-1/empty-is-anonymous", "create '' 4 2; put 0 ABCD; get 0"),
    program("NAME-1/none-is-anonymous", "create none 4 2; put 0 ABCD; get 0"),
    program("NAME-1/none-in-any-case", "create NoNe 4 2; create NONE 4 2; @0 put 0 ABCD; @1 dptr 0"),
    program("NAME-1/twice-is-two", "create none 4 2; create none 4 2; create '' 4 2; create '' 4 2; @0 put 0 ABCD; @1 dptr 0; @2 put 0 EFGH; @3 dptr 0"),
    program("NAME-1/each-is-its-own", "create - 4 2; create - 2 3; @0 fgrab 1; @1 num_free_slots; @1 slot_size"),
    program("NAME-2/two-names-two-segments", "create a 4 2; create b 4 2; @0 put 0 AAAA; @1 dptr 0"),
    # Create
    program("CREATE-1/shape", "create w 5 3 PREGRAB; num_slots; slot_size; num_free_slots"),
    program("CREATE-1/large-slots", "create w 70000 2; put 1 x; get 1 1; slot_size"),
    program("CREATE-1/many-slots", "create w 1 5000 PREGRAB; num_slots; num_free_slots; fgrab 4999; put 4999 z; get 4999"),
    program("CREATE-1/every-flag", "create w 4 2 PERSIST|NOTMPSAFE|PREGRAB|CLEARINUSE; num_slots; fgrab 1; num_free_slots"),
    program("CREATE-2/zero", "create w 4 3; dptr 0; dptr 1; dptr 2; num_free_slots"),
    program("CREATE-2/free", "create w 4 3 PREGRAB; num_free_slots; doall; get 0; get 1; get 2"),
    program("CREATE-3/same-segment", "create w 4 3 PREGRAB; fgrab 1; put 1 ABCD; create w 4 3 PREGRAB; @1 get 1; @1 num_free_slots"),
    program("CREATE-3/both-ways", "create w 4 2 PREGRAB; create w 4 2 PREGRAB; @1 fgrab 0; @1 put 0 ABCD; @0 get 0"),
    program("CREATE-3/arguments-ignored", "create w 4 3 PREGRAB; create w 9 7 PERSIST; @1 num_slots; @1 slot_size; @1 get 0"),
    program("CREATE-4/no-slots", "create w 4 0 PREGRAB; num_slots; slot_size; num_free_slots; grab; doall; fgrab 0"),
    program("CREATE-4/empty-slots", "create w 0 2 PREGRAB; slot_size; fgrab 1; get 1; put 1 ''; num_free_slots; doall"),
    program("CREATE-4/nothing-at-all", "create w 0 0; num_slots; slot_size; num_free_slots"),
    # Attach
    program("ATTACH-1/shape", "create w 5 3 PREGRAB; attach w; @1 num_slots; @1 slot_size"),
    program("ATTACH-2/same-segment", "create w 4 3 PREGRAB; attach w; @1 fgrab 2; @1 put 2 ABCD; @0 get 2; @0 num_free_slots"),
    program("ATTACH-3/nobody-created", "attach w"),
    program("ATTACH-3/other-name", "create w 4 2; attach v; attach ww"),
    program("ATTACH-3/absolute", "attach $DIR/nothing"),
    program("ATTACH-4/anonymous", "attach -; attach ''; attach none; attach NONE; attach NoNe"),
    program("ATTACH-4/created-does-not-help", "create none 4 2; attach none"),
    # Ids
    program("ID-1/pregrab", f"create w 4 3 PREGRAB; {_JUST_OUT}; num_free_slots"),
    program("ID-1/without-pregrab", f"create w 4 3; {_JUST_OUT}; num_free_slots"),
    program("ID-1/no-slots", "create w 4 0; get 0; put 0 A; fgrab 0; release 0; dptr 0"),
    program("ID-3/pregrab", f"create w 4 3 PREGRAB; {_FAR_OUT}; num_free_slots"),
    program("ID-3/without-pregrab", f"create w 4 3; {_FAR_OUT}; num_free_slots"),
    program("ID-2/after-restart", "create w 4 2 PREGRAB; fgrab 0; restart; grab; fgrab 0; release 0; get 0; put 0 A; num_free_slots; num_slots; slot_size; doall; dptr 0"),
    # Grab, fgrab, release
    program("GRAB-1/gives-the-only-one", "create w 4 1 PREGRAB; grab; num_free_slots; put 0 ABCD; get 0"),
    program("GRAB-1/gives-the-last-free", "create w 4 3 PREGRAB; fgrab 0; fgrab 2; grab; num_free_slots; doall"),
    program("GRAB-1/without-pregrab", "create w 4 1; grab; num_free_slots"),
    program("GRAB-2/lowest-first", "create w 4 3 PREGRAB; grab; grab; grab"),
    program("GRAB-2/lowest-free-first", "create w 4 5 PREGRAB; fgrab 0; fgrab 2; grab; grab; release 0; release 3; grab; grab; grab"),
    program("GRAB-2/after-release", "create w 4 3 PREGRAB; grab; grab; grab; release 2; release 1; grab; grab"),
    program("GRAB-2/without-pregrab", "create w 4 4; put 0 A; get 2; grab; grab"),
    program("GRAB-3/contents-stay", "create w 4 1 PREGRAB; fgrab 0; put 0 ABCD; release 0; grab; get 0"),
    program("GRAB-3/others-stay", "create w 4 2 PREGRAB; fgrab 0; put 0 ABCD; grab; get 0; dptr 1"),
    program("GRAB-4/full", "create w 4 2 PREGRAB; fgrab 0; fgrab 1; grab; grab; num_free_slots; release 1; fgrab 1"),
    program("GRAB-4/one", "create w 4 1; grab; grab; num_free_slots"),
    program("FGRAB-1/marks", "create w 4 3 PREGRAB; fgrab 1; num_free_slots; doall; put 1 ABCD; get 1; get 0"),
    program("FGRAB-1/contents-stay", "create w 4 2 PREGRAB; fgrab 1; put 1 ABCD; release 1; fgrab 1; get 1"),
    program("FGRAB-2/in-use-already", "create w 4 3 PREGRAB; fgrab 1; put 1 ABCD; fgrab 1; num_free_slots; get 1; release 1; num_free_slots; release 1"),
    program("RELEASE-1/frees", "create w 4 2 PREGRAB; fgrab 0; fgrab 1; release 0; num_free_slots; doall; get 0"),
    program("RELEASE-1/can-be-grabbed-again", "create w 4 1 PREGRAB; grab; release 0; grab"),
    program("RELEASE-1/without-pregrab", "create w 4 2; fgrab 1; release 1; num_free_slots"),
    program("RELEASE-2/contents-stay", "create w 4 2 PREGRAB; fgrab 1; put 1 ABCD; release 1; dptr 1; fgrab 1; get 1"),
    program("RELEASE-3/never-grabbed", "create w 4 2 PREGRAB; release 0; release 1; num_free_slots"),
    program("RELEASE-3/twice", "create w 4 2 PREGRAB; fgrab 0; release 0; release 0; num_free_slots; fgrab 0; num_free_slots"),
    program("RELEASE-3/without-pregrab", "create w 4 2; release 0; num_free_slots"),
    # Get, put
    program("GET-1/whole", "create w 4 2 PREGRAB; fgrab 0; fgrab 1; put 0 ABCD; put 1 EFGH; get 0; get 1; get 0 4"),
    program("GET-1/last-slot", "create w 3 5 PREGRAB; fgrab 4; put 4 xyz; get 4; get 4 3"),
    program("GET-2/free", "create w 4 2 PREGRAB; get 0; get 1 2; get 1 0; num_free_slots"),
    program("GET-2/released", "create w 4 2 PREGRAB; fgrab 0; put 0 ABCD; release 0; get 0; num_free_slots"),
    program("GET-3/fewer", "create w 4 2 PREGRAB; fgrab 1; put 1 ABCD; get 1 0; get 1 1; get 1 2; get 1 3"),
    program("GET-4/marks", "create w 4 2; get 1; release 1; get 0; grab"),
    program("GET-4/counts", "create w 4 2; get 1; num_free_slots; get 1; num_free_slots"),
    program("GET-5/one-too-many", "create w 4 3 PREGRAB; fgrab 0; fgrab 1; get 0 5"),
    program("GET-5/far-too-many", "create w 4 3 PREGRAB; fgrab 2; get 2 65536; get 2 2147483648"),
    program("GET-5/negative", "create w 4 2 PREGRAB; fgrab 0; get 0 -1; get 0 -4; get 0"),
    program("GET-5/free-slot-is-not-marked", "create w 4 2; get 0 5; num_free_slots"),
    program("PUT-1/whole", "create w 4 3 PREGRAB; fgrab 0; fgrab 1; fgrab 2; put 1 ABCD; get 0; get 1; get 2; put 1 EFGH; get 1"),
    program("PUT-2/free", "create w 4 2 PREGRAB; put 0 ABCD; dptr 0; num_free_slots; put 0 ''"),
    program("PUT-2/released", "create w 4 2 PREGRAB; fgrab 0; put 0 ABCD; release 0; put 0 EFGH; dptr 0"),
    program("PUT-3/rest-stays", "create w 4 2 PREGRAB; fgrab 1; put 1 ABCD; put 1 xy; get 1; put 1 ''; get 1; put 1 xyz; get 1"),
    program("PUT-4/marks", "create w 4 2; put 1 AB; release 1; put 0 A; grab"),
    program("PUT-4/counts", "create w 4 2; put 1 AB; num_free_slots; put 1 CD; num_free_slots"),
    program("PUT-5/one-too-many", "create w 4 2 PREGRAB; fgrab 0; fgrab 1; put 0 ABCD; put 0 abcde; get 0; get 1"),
    program("PUT-5/last-slot", "create w 4 2 PREGRAB; fgrab 1; put 1 abcdefgh; get 1; num_free_slots; get 0"),
    program("PUT-5/free-slot-is-not-marked", "create w 4 2; put 0 abcde; num_free_slots; dptr 0"),
    program("PUT-5/empty-slots", "create w 0 2 PREGRAB; fgrab 0; put 0 a; num_free_slots"),
    # Walks, pointers, counters
    program("DOALL-1/ascending", "create w 1 4; put 0 a; put 1 b; put 2 c; put 3 d; doall"),
    program("DOALL-1/ascending-pregrab", "create w 1 4 PREGRAB; fgrab 3; fgrab 1; put 3 d; put 1 b; doall"),
    program("DOALL-1/no-slots", "create w 1 0; doall"),
    program("DOALL-2/only-in-use", "create w 1 4 PREGRAB; doall; fgrab 2; put 2 c; doall; fgrab 0; put 0 a; doall; release 2; doall"),
    program("DOALL-2/all-without-pregrab", "create w 1 3; doall; put 1 b; doall; release 1; doall"),
    program("DOALL-2/marks-nothing", "create w 1 3; doall; num_free_slots; doall APR_EGENERAL; num_free_slots"),
    program("DOALL-3/stops", "create w 1 3; put 0 a; put 1 b; put 2 c; doall APR_SUCCESS APR_EGENERAL; doall APR_EGENERAL; doall APR_SUCCESS APR_SUCCESS APR_EGENERAL"),
    program("DOALL-3/gives-the-status", "create w 1 2; doall APR_NOTFOUND; doall APR_EINVAL; doall APR_SUCCESS APR_ENOENT"),
    program("DOALL-3/pregrab", "create w 1 4 PREGRAB; fgrab 1; fgrab 3; doall APR_SUCCESS APR_EGENERAL; doall APR_EGENERAL"),
    program("DPTR-1/reads-a-put", "create w 4 3 PREGRAB; fgrab 1; put 1 ABCD; dptr 0; dptr 1; dptr 2"),
    program("DPTR-1/is-read-by-a-get", "create w 4 3 PREGRAB; fgrab 1; dptr 1 WXYZ; get 1; dptr 0; dptr 2"),
    program("DPTR-1/slot-need-not-be-in-use", "create w 4 2 PREGRAB; dptr 1 AB; num_free_slots; fgrab 1; get 1; get 1 2"),
    program("COUNT-1/shape", "create w 7 6 PREGRAB; num_slots; slot_size; fgrab 1; num_slots; slot_size"),
    program("COUNT-2/up-and-down", "create w 4 4 PREGRAB; num_free_slots; fgrab 1; num_free_slots; fgrab 3; num_free_slots; release 1; num_free_slots; release 3; num_free_slots"),
    program("COUNT-2/all-and-none", "create w 4 2 PREGRAB; fgrab 0; fgrab 1; num_free_slots; release 0; release 1; num_free_slots"),
    program("COUNT-2/without-pregrab", "create w 4 3; fgrab 0; num_free_slots; release 0; num_free_slots"),
    # Store and restore: what a server sees of its own files
    program("STORE-1/restart", "create w 4 3 PERSIST|PREGRAB; fgrab 1; put 1 ABCD; restart; create w 4 3 PERSIST|PREGRAB; @1 get 1; @1 num_free_slots", "persist"),
    program("STORE-1/close", "create w 4 3 PERSIST|PREGRAB; fgrab 1; put 1 ABCD; close; 1: create w 4 3 PERSIST|PREGRAB; 1: get 1", "persist"),
    program("STORE-1/absolute-name", "create $DIR/abs 4 2 PERSIST; put 1 ABCD; restart; create $DIR/abs 4 2 PERSIST; @1 get 1", "persist"),
    program("STORE-1/latest-is-kept", "create w 4 1 PERSIST; put 0 AAAA; restart; create w 4 1 PERSIST; @1 put 0 BB; restart; create w 4 1 PERSIST; @2 get 0", "persist"),
    program("STORE-2/not-asked-for", "create w 4 2 PREGRAB; fgrab 0; put 0 ABCD; restart; create w 4 2 PREGRAB; @1 num_free_slots; @1 dptr 0"),
    program("STORE-2/anonymous", "create none 4 2 PERSIST; put 0 ABCD; restart; create none 4 2 PERSIST; @1 dptr 0; @1 num_free_slots"),
    program("STORE-3/all-free", "create w 4 3 PERSIST|PREGRAB|CLEARINUSE; fgrab 0; fgrab 2; put 2 ABCD; restart; create w 4 3 PERSIST|PREGRAB|CLEARINUSE; @1 num_free_slots; @1 doall; @1 dptr 2; @1 get 2", "persist"),
    program("STORE-3/contents-stay", "create w 4 2 PERSIST|CLEARINUSE; put 1 ABCD; restart; create w 4 2 PERSIST|CLEARINUSE; @1 num_free_slots; @1 dptr 1; @1 release 1", "persist"),
    program("RESTORE-1/slots", "create w 4 3 PERSIST; put 0 AAAA; put 2 CC; restart; create w 4 3 PERSIST; @1 dptr 0; @1 dptr 1; @1 dptr 2", "persist"),
    program("RESTORE-1/in-use-flags", "create w 4 4 PERSIST|PREGRAB; fgrab 0; fgrab 2; restart; create w 4 4 PERSIST|PREGRAB; @1 doall; @1 get 0; @1 get 1; @1 get 2; @1 get 3; @1 release 1", "persist"),
    program("RESTORE-1/counter", "create w 4 4 PERSIST|PREGRAB; fgrab 0; fgrab 2; fgrab 3; restart; create w 4 4 PERSIST|PREGRAB; @1 num_free_slots; @1 fgrab 1; @1 num_free_slots; @1 grab", "persist"),
    program("RESTORE-1/again-and-again", "create w 2 2 PERSIST|PREGRAB; fgrab 1; put 1 ab; restart; create w 2 2 PERSIST|PREGRAB; restart; create w 2 2 PERSIST|PREGRAB; @2 get 1; @2 num_free_slots", "persist"),
    program("RESTORE-1/free-slots-too", "create w 2 2 PERSIST|PREGRAB; fgrab 1; put 1 ab; release 1; restart; create w 2 2 PERSIST|PREGRAB; @1 num_free_slots; @1 dptr 1", "persist"),
    program("RESTORE-1/two-names", "create a 2 1 PERSIST; create b 2 1 PERSIST; @0 put 0 aa; @1 put 0 bb; restart; create b 2 1 PERSIST; create a 2 1 PERSIST; @2 dptr 0; @3 dptr 0", "persist"),
    # Restart
    program("RESTART-1/begins-anew", "create w 4 2 PREGRAB; fgrab 0; put 0 ABCD; restart; create w 4 2 PREGRAB; @1 num_free_slots; @1 dptr 0; @1 get 0"),
    program("RESTART-1/other-shape", "create w 4 2 PREGRAB; fgrab 0; restart; create w 6 3; @1 num_slots; @1 slot_size; @1 num_free_slots"),
    program("RESTART-1/absolute-name", "create $DIR/abs 4 2; put 0 ABCD; restart; create $DIR/abs 3 3; @1 num_slots; @1 slot_size; @1 dptr 0"),
    program("RESTART-3/counts", "restart; restart; restart"),
)  # fmt: skip
