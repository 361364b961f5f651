"""The protocol in the replication package, from small tables."""

import tomllib

import pytest

from dlbug_assets.protocol.study import load_study, shipped_studies
from dlbug_assets.publishing.package import Package
from dlbug_assets.warehouse.table_specs import load_specs


@pytest.mark.slow
@pytest.mark.parametrize("place", ["/home/jane/Posts.xml", "s3a://janes-bucket/Posts.xml"])
def test_the_folder_or_bucket_of_a_dump_is_left_out(small_study, tmp_path, place):
    path = tmp_path / "dumped.toml"
    text = shipped_studies()["live"].read_text(encoding="utf-8").replace('name = "live"', 'name = "dumped"')
    path.write_text(text.replace('posts = "api"', f'posts = "dump"\ndump_path = "{place}"'), encoding="utf-8")
    files = Package(load_study(path), load_specs(), small_study(str(path)).query).files()
    assert tomllib.loads(files["study.toml"].decode())["sources"]["dump_path"] == "Posts.xml"
    assert [name for name, content in files.items() if b"jane" in content] == []
