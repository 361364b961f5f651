"""Sizes of the data per source and library, and beside printed ones."""

SO, GH = "Stack Overflow", "GitHub"


def test_sizes_are_those_of_the_sources_that_a_study_has(study):
    small = study("Ebb", "Flow", sources=("Mail", "Forum"))
    for source, library, item in (("Mail", "Ebb", "1"), ("Mail", "Ebb", "1"), ("Forum", "Ebb", "2"),
                                  ("Forum", "Spring", "3")):  # fmt: skip
        small.label(source=source, library=library, item_id=item, bug_type="API Bug")

    assert small.run("dataset_sizes").rows() == [
        ("Mail", "Ebb", None, 1, 2), ("Mail", "Flow", None, 0, 0), ("Mail", "All", None, 1, 2),
        ("Forum", "Ebb", None, 1, 1), ("Forum", "Flow", None, 0, 0), ("Forum", "All", None, 1, 1),
        ("both", "Ebb", None, 2, 3), ("both", "Flow", None, 0, 0), ("both", "All", None, 2, 3),
    ]  # fmt: skip
    assert small.run("dataset_summary").rows() == [
        (library, None, 0, None, 0, None, None, None, None) for library in ("Ebb", "Flow", "Total")
    ]


def test_items_read_are_unknown_where_a_release_lists_only_those_with_bugs(study):
    small = study("Keras", "Caffe")
    small.connection.execute("update reference.study set posts_are_a_corpus = true, commits_are_a_corpus = false")
    small.connection.execute("insert into stackoverflow.candidate_posts values ('Keras', 1), ('Keras', 2)")
    small.connection.execute("insert into github.sampled_commits values ('Keras', 'a')")

    rows = small.run("dataset_sizes").select("source", "library", "items").rows()

    assert rows == [
        (SO, "Keras", 2), (SO, "Caffe", 0), (SO, "All", 2),
        (GH, "Keras", None), (GH, "Caffe", None), (GH, "All", None),
        ("both", "Keras", None), ("both", "Caffe", None), ("both", "All", None),
    ]  # fmt: skip
