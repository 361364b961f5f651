"""Posts and patches are shown to raters as plain text that fits a spreadsheet cell."""

import polars as pl
import pytest

from dlbug_assets.labeling.item_text import MAX_LENGTH, clean, commit_text, item_texts, post_text


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
def test_post_text(html, text):
    assert post_text(html) == text


def test_commit_text_is_message_and_patch():
    assert commit_text("Fix\n\nbody", "diff\n+1") == "Fix\n\nbody\n\ndiff\n+1"
    assert commit_text("Fix", None) == "Fix"
    assert (commit_text(None, None), post_text(None)) == (None, None)


def test_texts_are_cut_to_a_cell_and_control_characters_replaced():
    long = clean("x" * 50_000)
    assert len(long) < 32_767
    assert long == "x" * MAX_LENGTH + "\n[cut here: follow the link for the rest]"
    assert clean("a\x00b\x1bc\r\nd\ud800") == "a\ufffdb\ufffdc\nd\ufffd"


def test_each_item_has_its_own_texts():
    items = pl.DataFrame(
        {
            "library": ["Keras", "Torch", "Keras", "Keras"],
            "post_id": [1, 1, None, 9],
            "commit_sha": [None, None, "s", None],
        }
    )
    posts = pl.DataFrame(
        {
            "library": ["Keras", "Torch"],
            "post_id": [1, 1],
            "body_html": ["<p>k</p>", "<p>t</p>"],
            "accepted_html": ["<pre>a  b</pre>", None],
        }
    )
    commits = pl.DataFrame({"library": ["Keras"], "sha": ["s"], "message": ["m"], "patch_excerpt": ["p"]})
    texts = item_texts(items, posts, commits)
    assert texts.columns == ["content", "accepted_answer"]
    assert texts.rows() == [("k", "a  b"), ("t", None), ("m\n\np", None), (None, None)]


def test_items_without_any_accepted_answer_have_texts_too():
    items = pl.DataFrame(
        {"library": ["Keras"], "post_id": [None], "commit_sha": ["s"]}, schema_overrides={"post_id": pl.Int64}
    )
    posts = pl.DataFrame(schema=dict.fromkeys(("library", "post_id", "body_html", "accepted_html"), pl.String))
    commits = pl.DataFrame({"library": ["Keras"], "sha": ["s"], "message": ["m"], "patch_excerpt": [None]})
    assert item_texts(items, posts, commits).rows() == [("m", None)]
