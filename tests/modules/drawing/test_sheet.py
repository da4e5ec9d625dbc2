from modules.drawing.sheet import length, wrapped


def test_long_texts_are_wrapped_and_cut():
    text = " ".join(["word"] * 60)
    lines = wrapped(text, 200, 3)
    assert len(lines) == 3
    assert all(length(line.removesuffix(" ...")) <= 200 for line in lines)
    assert lines[2].endswith(" ...")
    assert wrapped("short", 200, 3) == ["short"]
    assert wrapped(text, 1e9, 3) == [text]
