# /// script
# requires-python = ">=3.11"
# dependencies = ["marimo>=0.25", "duckdb>=2.0", "polars>=2.1", "altair>=6"]
# ///
"""Three figures of a study, redrawn from its published database.

A marimo notebook. `uvx marimo edit --sandbox docs/notebook.py` opens it in a browser and brings what it needs; `python
docs/notebook.py` runs it in the environment of a checkout. DLBUG_HOME is the folder of the databases, by default
warehouse/.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium")


@app.cell
def _():
    import os
    from pathlib import Path

    import altair as alt
    import duckdb
    import marimo as mo
    import polars as pl

    home = Path(os.environ.get("DLBUG_HOME", "warehouse"))
    databases = sorted(home.glob("*.duckdb"))
    if not databases:
        raise FileNotFoundError(f"there is no published database in {home.absolute()}: `dlbug run` creates one")
    return alt, databases, duckdb, mo, os, pl


@app.cell
def _(databases, mo, os):
    names = {path.stem: path for path in databases}
    wanted = os.environ.get("DLBUG_STUDY")
    study = mo.ui.dropdown(names, value=wanted if wanted in names else next(iter(names)), label="Study")
    study
    return (study,)


@app.cell
def _(duckdb, pl, study):
    connection = duckdb.connect(str(study.value), read_only=True)

    def query(sql):
        """Return the rows of a query as a frame."""
        result = connection.execute(sql)
        columns = [name for name, *_ in result.description]
        return pl.DataFrame(result.fetchall(), schema=columns, orient="row", infer_schema_length=None)

    return (query,)


@app.cell
def _(mo, query):
    info = dict(query("from publishing.study_info").iter_rows())
    dimensions = query("select dimension, title from reference.dimensions order by position")
    titles = {title: name for name, title in dimensions.iter_rows()}
    sources = query("select source from reference.sources order by position")["source"].to_list()
    dimension = mo.ui.dropdown(titles, value=next(iter(titles)), label="Dimension")
    source = mo.ui.dropdown([*sources, "both"], value="both", label="Source")
    mo.md(f"# {info['title']}\n\n{info['notice']}.\n\n{dimension} {source}")
    return dimension, source


@app.cell
def _(mo):
    mo.md("""
    ## Distribution

    Shares of the categories with 95% intervals by clusters: bugs of one repository or post resemble each other.
    """)
    return


@app.cell
def _(alt, dimension, mo, query, source):
    shares = query(
        f"""
        select shown.category, shown.bugs, shown.total, shown.share, shown.cluster_low, shown.cluster_high
        from share('{dimension.value}', source := '{source.value}') as shown
        inner join labeling.categories as categories
            on categories.dimension = '{dimension.value}' and categories.category = shown.category
        where shown.bugs > 0
        order by categories.position
        """
    )
    _names = alt.Axis(labelLimit=400)
    _base = alt.Chart(shares, width=450).encode(
        y=alt.Y("category", sort=None, title=None, axis=_names), tooltip=["bugs", "total", "share"]
    )
    distribution = alt.layer(
        _base.mark_bar(color="#9ecae1").encode(x=alt.X("share", axis=alt.Axis(format="%"), title="Share of the bugs")),
        _base.mark_rule().encode(x="cluster_low", x2="cluster_high"),
        _base.mark_text(align="left", dx=4).encode(x="cluster_high", text="bugs"),
    )
    mo.md("No bug has a label in this dimension.") if shares.is_empty() else distribution
    return distribution, shares


@app.cell
def _(mo):
    mo.md("""
    ## Sources compared

    Differences of the shares with 95% intervals. An interval that excludes 0 is not a test: there are many of them, and
    `analysis.source_tests` decides about all categories together.
    """)
    return


@app.cell
def _(alt, dimension, mo, query):
    differences = query(
        f"""
        select category, a || ' - ' || b as pair, share_a, share_b, difference, difference_low, difference_high
        from compare('{dimension.value}')
        where bugs_a + bugs_b > 0
        order by difference desc
        """
    )
    _base = alt.Chart(differences, width=450).encode(
        y=alt.Y("category", sort=None, title=None, axis=alt.Axis(labelLimit=400)),
        tooltip=["pair", "share_a", "share_b", "difference", "difference_low", "difference_high"],
    )
    comparison = (
        alt.layer(
            alt.Chart(differences).mark_rule(strokeDash=[4, 4]).encode(x=alt.datum(0)),
            _base.mark_rule().encode(
                x=alt.X("difference_low", axis=alt.Axis(format="+%"), title="Difference of the shares"),
                x2="difference_high",
            ),
            _base.mark_point(filled=True, size=60).encode(x="difference"),
        )
        .facet(row=alt.Row("pair", title=None))
        .resolve_scale(y="independent")
    )
    mo.md("There are no two sources with bugs.") if differences.is_empty() else comparison
    return comparison, differences


@app.cell
def _(mo):
    mo.md("""
    ## Similarity of the libraries

    Pearson correlation of the shares of the categories.
    """)
    return


@app.cell
def _(alt, dimension, mo, query, source):
    correlations = query(
        f"""
        select library_a, library_b, pearson, pearson_low, pearson_high
        from analysis.library_correlation
        where dimension = '{dimension.value}' and source = '{source.value}' and pearson is not null
        order by library_a, library_b
        """
    )
    _base = alt.Chart(correlations).encode(
        x=alt.X("library_a", title=None),
        y=alt.Y("library_b", title=None),
        tooltip=["library_a", "library_b", "pearson", "pearson_low", "pearson_high"],
    )
    similarity = alt.layer(
        _base.mark_rect().encode(color=alt.Color("pearson", scale=alt.Scale(scheme="redblue", domain=[-1, 1]))),
        _base.mark_text().encode(text=alt.Text("pearson", format=".2f")),
    ).properties(width=alt.Step(70), height=alt.Step(40))
    mo.md("There are no two libraries with bugs.") if correlations.is_empty() else similarity
    return correlations, similarity


if __name__ == "__main__":
    app.run()
