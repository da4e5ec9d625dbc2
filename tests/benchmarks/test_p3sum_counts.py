from benchmarks.p3sum_flops import ROBERTA_BASE, SMALL, VOCABULARY, Counted, Paper, check_meta


def brute(paper):
    """Multiply-adds of a pass, layer by layer and position by position."""
    width, inner = paper.options["hidden_size"], paper.options["intermediate_size"]
    length, total = paper.article + paper.summary, 0
    for _ in range(paper.options["num_hidden_layers"]):
        for _ in range(length):
            total += 4 * width * width + 2 * width * inner
            total += 2 * width * length  # scores, and the sum of values
    for _ in range(paper.summary):
        total += width * paper.vocabulary  # the mean of embeddings
        total += width * width + width * paper.vocabulary  # the output layer
    return total


def test_a_pass_needs_and_takes_the_products_counted_one_by_one():
    counted = Counted(SMALL)
    small = 2 * SMALL.options["hidden_size"]  # the linear function of the time
    assert SMALL.least_pass() == 2 * brute(SMALL)
    assert counted.forward() == 2 * brute(SMALL) + small
    assert counted.forward(whole=True) - counted.forward() + small == 2 * SMALL.article * SMALL.head


def test_no_step_takes_less_than_its_formulas():
    counted = Counted(SMALL)
    assert counted.training() >= SMALL.least_training(0.5)
    steering = counted.step() - counted.forward()
    assert steering >= SMALL.least_steering()
    assert counted.step("summary") < counted.step("article_and_summary") < counted.step()


def test_the_meta_device_counts_as_real_tensors_do():
    check_meta()


def test_the_papers_sizes_are_those_of_roberta_base():
    """124,697,433 weights in the published model; an embedding of shares and the time are added."""
    paper = Paper(ROBERTA_BASE, VOCABULARY, 412, 100)
    assert Counted(paper).num_parameters == 124_697_433 + VOCABULARY * 768 + 2 * 768
