"""Invented texts: titles, explanations and programs such as people write about deep learning."""

import html

from dlbug_assets.sample.draw import Draw

LAYERS = ("Dense", "Conv2D", "LSTM", "Embedding", "BatchNorm", "Dropout", "GRU", "MaxPooling", "Flatten", "Softmax")
_THINGS = ("image batch", "sequence of words", "time series", "spectrogram", "feature matrix", "one-hot target")
_TROUBLES = (
    "loss stays constant after the first epoch",
    "shapes do not match when the batch is fed",
    "accuracy never rises above chance",
    "training stops with an out of memory message",
    "prediction differs between two runs of the same model",
    "gradient turns into nan after some steps",
    "saved model cannot be restored",
    "argument is no longer known after the upgrade",
    "data type is not what the layer expects",
    "validation is far slower than training",
)
_TITLES = (
    "{library}: {trouble}",
    "{layer} layer in {library}, {trouble}",
    "Why does {library} say that the {thing} has a wrong rank?",
    "How to feed a {thing} into {layer} with {library}",
    "{trouble} when a {layer} follows a {other} ({library})",
    "{library} {layer} with variable length {thing}",
)
_SENTENCES = (
    "I am new to {library} and follow a tutorial that was written for an older release.",
    "The {thing} comes from a generator that yields forty rows at a time.",
    "As soon as I put a {layer} after the {other}, the {trouble}.",
    "Everything works with a single example, but with the whole set the {trouble}.",
    "I checked the shape by printing it and it looks right to me.",
    "Changing the <code>batch_size</code> or the learning rate makes no difference.",
    "What am I missing?",
    "The same model works in another framework.",
)
_ANSWERS = (
    "The {layer} expects one more dimension than your {thing} has; reshape it before it is fed.",
    "You apply the activation twice: once in the {layer} and once in the loss.",
    "The default of that argument changed; say it explicitly and it works in both releases.",
    "Shuffle before you split, otherwise the last classes are never seen during training.",
    "Initialize the variables inside the session that runs the graph.",
    "Your learning rate is too large for a {layer} of that size; try a tenth of it.",
)
_PROGRAMS = (
    "model = Sequential()\nmodel.add({layer}({units}, input_shape=({width}, {height})))\nmodel.add({other}({units}))\n"
    'model.compile(loss="mse", optimizer="{optimizer}")\nmodel.fit(x_train, y_train, epochs={epochs})',
    "x = placeholder(float32, [None, {width}])\nw = variable(zeros([{width}, {units}]))\ny = matmul(x, w)\n"
    "for step in range({epochs}):\n    if step % 10 == 0 && step > 0:\n        print(session.run(y))",
    "net = {layer}(in_features={width}, out_features={units})\nout = net(batch.view(-1, {width}))\n"
    "loss = criterion(out, target)\nloss.backward()",
    "ValueError: input 0 of layer {layer} expects shape (<batch>, {width}, {height}) but got (<batch>, {height})",
    "for epoch in range({epochs}):\n    for x, y in batches(data, {units}):\n        assert x.shape[1] < {width}\n"
    '        train(x, y, optimizer="{optimizer}")',
)
_MARKUP_OLD = ("<pre><code>", "</code></pre>")
_MARKUP_HINTED = ('<pre class="lang-py prettyprint-override"><code>', "</code></pre>")
_MARKUP_NEW = ('<pre class="lang-py s-code-block"><code class="hljs language-python">', "</code></pre>")
_MARKUPS = (_MARKUP_OLD, _MARKUP_OLD, _MARKUP_HINTED, _MARKUP_NEW)

_FIXES = (
    "Fix {what}",
    "fix: {what}",
    "Fixed {what} in {layer} model",
    "Fixes {what} (#{units})",
    "bugfix {what}",
    "Hotfix: {what}",
    "Fixing {what} for {library}",
    "[{layer}] fix {what}",
)
_WHATS = (
    "wrong input shape",
    "learning rate decay",
    "label encoding of the test set",
    "loss function for several classes",
    "loading of pretrained weights",
    "import after the {library} upgrade",
    "off by one in the batch generator",
    "axis of the concatenation",
    "order of channels",
    "missing normalization",
)
_FILES = ("model.py", "train.py", "data/loader.py", "layers.py", "evaluate.py", "utils/preprocess.py", "config.py")


def _filled(draw: Draw, template: str, library: str) -> str:
    layer, other = draw.some(LAYERS, 2)
    return template.format(
        library=library,
        layer=layer,
        other=other,
        thing=draw.one(_THINGS),
        trouble=draw.one(_TROUBLES),
        units=draw.between(2, 512),
        width=draw.between(3, 300),
        height=draw.between(3, 300),
        epochs=draw.between(2, 200),
        optimizer=draw.one(("sgd", "adam", "rmsprop")),
    )


def title(draw: Draw, library: str) -> str:
    """Return the title of a question."""
    text = _filled(draw, draw.one(_TITLES), library)
    return text[0].upper() + text[1:]


def _code(draw: Draw, library: str) -> str:
    opening, closing = draw.one(_MARKUPS)
    programs = [_filled(draw, program, library) for program in draw.some(_PROGRAMS, draw.between(1, 4))]
    return opening + html.escape("\n\n".join(programs), quote=False) + "\n" + closing


def question(draw: Draw, library: str, code_blocks: int) -> str:
    """Return the body of a question as HTML with this number of code blocks; without any, it may have inline code."""
    parts = [f"<p>{_filled(draw, sentence, library)}</p>" for sentence in draw.some(_SENTENCES, draw.between(4, 8))]
    if code_blocks == 0 and draw.chance(0.5):
        parts.append(f"<p>I call <code>model.fit(x, y, epochs={draw.between(2, 50)})</code> and nothing happens.</p>")
    for _ in range(code_blocks):
        parts.insert(draw.between(1, len(parts)), _code(draw, library))
    return "\n\n".join(parts)


def answer(draw: Draw, library: str) -> str:
    """Return the body of an answer as HTML."""
    parts = [f"<p>{_filled(draw, sentence, library)}</p>" for sentence in draw.some(_ANSWERS, draw.between(1, 2))]
    if draw.chance(0.7):
        parts.append(_code(draw, library))
    return "\n\n".join(parts)


def fix_title(draw: Draw, library: str) -> str:
    """Return the title of a commit that fixes something."""
    return _filled(draw, draw.one(_FIXES).replace("{what}", draw.one(_WHATS)), library)


def changed_files(draw: Draw, count: int) -> list[str]:
    """Return the paths of the files that a commit changes, each once."""
    return draw.some(_FILES, count)


def patch(draw: Draw, library: str, path: str) -> str:
    """Return a unified diff with one hunk."""
    before = _filled(draw, draw.one(_PROGRAMS), library).splitlines()
    line = draw.between(0, len(before) - 1)
    after = f"{before[line]}  # fixed"
    start = draw.between(5, 180)
    body = [f" {text}" for text in before]
    body[line] = f"-{before[line]}\n+{after}"
    size = len(before)
    return f"--- a/{path}\n+++ b/{path}\n@@ -{start},{size} +{start},{size} @@\n" + "\n".join(body) + "\n"
