from engine.study.results import best, curves, last, leaves, numbered, short_names, short_value


def write(folder, text):
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text(text)
    return folder


def test_a_row_that_is_being_written_is_left_out(tmp_path):
    run = write(tmp_path / "0", "step,loss\n1,3.0\n2,2.0\n3,1.2")
    assert curves([run]) == {"loss": {1: 3.0, 2: 2.0}}


def test_a_resumed_run_overwrites_the_steps_that_it_repeats(tmp_path):
    write(tmp_path / "0", "step,loss\n1,3.0\n2,2.0\n")
    write(tmp_path / "1", "loss,speed,step\n2.5,,2\n1.0,7,3\n")
    write(tmp_path / "10", "step,loss\n4,0.5\n")
    assert curves(numbered(tmp_path)) == {
        "loss": {1: 3.0, 2: 2.5, 3: 1.0, 4: 0.5},
        "speed": {3: 7.0},
    }


def test_nothing_is_read_where_nothing_is(tmp_path):
    assert curves([tmp_path / "none"]) == {}
    assert numbered(tmp_path / "none") == []


def test_the_best_value_is_one_that_is_finite():
    curve = {1: 2.0, 2: float("nan"), 3: 1.0, 4: 3.0}
    assert (best(curve, True), best(curve, False), last(curve)) == (1.0, 3.0, 3.0)


def test_short_names_are_unique_and_without_init_args():
    keys = ["model.init_args.optimizer.init_args.lr", "data.init_args.size", "model.size"]
    assert list(short_names(keys).values()) == ["lr", "data.size", "model.size"]


def test_a_class_is_named_by_what_it_is_of_and_its_own_name():
    key = "model.init_args.optimizer.class_path"
    assert short_names([key, "data.size"]) == {key: "optimizer", "data.size": "size"}
    assert short_value(key, "torch.optim.AdamW") == "AdamW"
    assert short_value("data.init_args.path", "a.b") == "a.b"


def test_leaves_keep_plain_lists_whole():
    tree = {"a": {"b": [1, 2]}, "c": [{"d": 3}], "e": {}}
    assert leaves(tree) == {"a.b": [1, 2], "c[0].d": 3, "e": {}}
