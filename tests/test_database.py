"""Databases from Python."""

import gc

import pytest

import caffe
from caffe._caffe import Database


def test_records_come_back_in_the_order_of_their_keys(tmp_path):
    with Database(tmp_path / "db", "new") as database:
        database.put("b", b"\x00\xff")
        database.put("a", b"")
        database.commit()
        database.put("c", b"3")
        database.put("b", b"2")
        database.commit()
    with Database(tmp_path / "db", "read") as database:
        assert list(database.items()) == [(b"a", b""), (b"b", b"2"), (b"c", b"3")]
        assert list(database.items())[0] == (b"a", b"")


def test_what_is_not_committed_is_dropped(tmp_path):
    with Database(tmp_path / "db", "new") as database:
        database.put("kept", b"1")
        database.commit()
        database.put("dropped", b"2")
    with Database(tmp_path / "db", "write") as database:
        assert [key for key, _ in database.items()] == [b"kept"]
        database.put("later", b"3")
        database.commit()
        database.commit()
        assert [key for key, _ in database.items()] == [b"kept", b"later"]


def test_items_outlive_their_database(tmp_path):
    with Database(tmp_path / "db", "new") as database:
        for number in range(100):
            database.put(f"{number:03}", bytes([number]))
        database.commit()
    database = Database(tmp_path / "db", "read")
    items = database.items()
    assert next(items) == (b"000", b"\x00")
    database.close()
    del database
    gc.collect()
    assert len(list(items)) == 99
    with pytest.raises(StopIteration):
        next(items)


def test_bad_use_is_an_error(tmp_path):
    with pytest.raises(caffe.Error, match="nowhere"):
        Database(tmp_path / "nowhere", "read")
    with pytest.raises(caffe.Error, match='not "append"'):
        Database(tmp_path / "db", "append")
    with pytest.raises(caffe.Error, match="unknown database backend 'sqlite'"):
        Database(tmp_path / "db", "new", backend="sqlite")
    Database(tmp_path / "db", "new").close()
    with pytest.raises(caffe.Error, match="db"):
        Database(tmp_path / "db", "new")
    with Database(tmp_path / "db", "read") as database, pytest.raises(caffe.Error, match="open for reading"):
        database.put("a", b"1")
    for action in (database.items, database.commit, lambda: database.put("a", b"1")):
        with pytest.raises(caffe.Error, match="is closed"):
            action()
    database.close()


def test_a_new_database_is_empty(tmp_path):
    with Database(tmp_path / "db", "new") as database:
        assert list(database.items()) == []
