"""What raters read: posts and patches as plain text that any cell takes."""

import polars as pl
import pytest

from dlbug_assets.labeling.item_text import LONGEST, contents, of_commit, of_post, tidied


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One &amp; two</p><p>three\n four</p>", "One & two\n\nthree four"),
        ("<pre class='x'><code>a  =  1\n  b &lt; 2\n</code></pre>", "a  =  1\n  b < 2"),
        ("<p>See <a href='x'>this</a><br>or <img alt='a plot' src='y'> <img src='z'></p>",
         "See this\nor [image: a plot] [image: without a description]"),
        ("<ul><li>one</li><li>two</li></ul>", "one\n\ntwo"),
        ("<script>alert(1)</script><p>unclosed <b>tags", "alert(1)\nunclosed tags"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_post_is_its_text(html, text):
    assert of_post(html) == text


def test_a_commit_is_its_message_and_its_patch():
    assert of_commit("Fix\n\nbody", "diff\n+1") == "Fix\n\nbody\n\ndiff\n+1"
    assert of_commit("Fix", None) == "Fix"
    assert (of_commit(None, None), of_post(None)) == (None, None)


def test_no_text_is_longer_than_a_cell_or_holds_what_no_workbook_may():
    long = tidied("x" * 50_000)
    assert len(long) < 32_767
    assert long == "x" * LONGEST + "\n[cut here: the rest is behind the link]"
    assert tidied("a\x00b\x1bc\r\nd\ud800") == "a\ufffdb\ufffdc\nd\ufffd"


def test_each_item_gets_its_own_text():
    items = pl.DataFrame(
        {
            "library": ["Keras", "Torch", "Keras", "Keras"],
            "post_id": [1, 1, None, 9],
            "commit_sha": [None, None, "s", None],
        }
    )
    posts = pl.DataFrame({"library": ["Keras", "Torch"], "post_id": [1, 1], "body_html": ["<p>k</p>", "<p>t</p>"]})
    commits = pl.DataFrame({"library": ["Keras"], "sha": ["s"], "message": ["m"], "patch_excerpt": ["p"]})
    assert contents(items, posts, commits).to_list() == ["k", "t", "m\n\np", None]
