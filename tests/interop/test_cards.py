"""Model cards: what they say is so, the hub understands them, their commands work; and the tutorial about sharing."""
import json
import os
import pathlib
import re
import shlex
import subprocess

import huggingface_hub
import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard
from PIL import Image

import test_recipes
from hub_world import BUILD, TINY, TOKEN, pictures, trained, world  # noqa: F401  (fixtures)

# --- cards

def test_the_card_is_one_that_the_hub_understands(world, trained, monkeypatch):
    card = ModelCard.load(trained / "README.md")
    assert card.data.license == "cc0-1.0" and card.data.library_name == "diffusers" and card.data.pipeline_tag == "unconditional-image-generation"
    assert {"unnoise", "diffusers", "unconditional-image-generation"} <= set(card.data.tags)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", world.hub.endpoint)
    card.validate()
    assert yaml.safe_load(yaml.safe_dump(card.data.to_dict())) == card.data.to_dict()
    for part in ("my pictures", "| pictures | 8 |", "| hash of the pixels | `pixels-", "![samples](samples/epoch-0002.png)", "![loss](loss.svg)", "4 (2 epochs)", "loss at the end",
                 "DiffusionPipeline", "parameters"):
        assert part in card.text, part
    assert str(trained.parent) not in card.text and "/tmp" not in card.text  # nobody's folders


def test_the_command_in_the_card_repeats_the_run(world, trained, pictures, tmp_path):
    command = re.search(r"## Recipe.*?```sh\n(.*?)\n```", (trained / "README.md").read_text(), re.S)[1]
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:2] == ["unnoise", "train"] and "tiny.json" not in command  # the network's file is written out
    (tmp_path / "my pictures").symlink_to(pictures)
    world.run(*words[1:], "--output-dir", tmp_path / "again")
    losses = [[r for r in map(json.loads, (run / "log.jsonl").read_text().splitlines()) if "loss" in r] for run in (trained, tmp_path / "again")]
    assert losses[0] == losses[1] and len(losses[0]) == 4


def test_a_card_that_a_person_changed_stays(world, trained, tmp_path):
    mine = tmp_path / "mine"
    subprocess.run(["cp", "-r", trained, mine], check=True)
    done = world.run("card", "--model", mine, "--name", "ada/m")
    assert done.stdout.strip() == str(mine / "README.md")
    card = ModelCard.load(mine / "README.md")
    assert card.data.license == "cc0-1.0" and 'from_pretrained("ada/m")' in card.text and "Not measured yet." in card.text
    world.run("card", "--model", mine, "--license", "mit")
    assert ModelCard.load(mine / "README.md").data.license == "mit"
    changed = (mine / "README.md").read_text().replace("It knows its training pictures", "It knows my pictures")
    (mine / "README.md").write_text(changed)
    done = world.run("card", "--model", mine, code=2)
    assert "--force" in done.stderr and (mine / "README.md").read_text() == changed
    assert world.run("card", "--model", mine, "--print").stdout.startswith("---\nlicense: mit\n")
    world.run("push", "--model", mine, "--repo", "ada/m")  # nor does a push touch it
    assert world.hub.repositories["ada/m"].head("main").files["README.md"].content.decode() == changed
    world.run("card", "--model", mine, "--force")
    assert "It knows its training pictures" in (mine / "README.md").read_text()


def test_a_model_from_elsewhere_gets_a_card_too(world, tmp_path):
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
    DDPMPipeline(UNet2DModel(**TINY), DDPMScheduler()).save_pretrained(tmp_path / "theirs")
    world.run("card", "--model", tmp_path / "theirs", "--license", "mit")
    text = ModelCard.load(tmp_path / "theirs/README.md").text
    assert "UNet2DModel" in text and "16×16" in text and "Recipe" not in text


# --- what was measured, of which pictures

def run_here(*args, cwd, code=0):
    return test_recipes.run(*args, cwd=cwd, code=code)


def numbers_in(card):
    """{name: (value, EvalResult)} of the front matter."""
    found = {result.metric_type: (result.metric_value, result) for result in card.data.eval_results}
    assert len(found) == len(card.data.eval_results), "a number under one name twice"
    return found


def row_of(name, measured):
    return f"| {name} | {measured['value']:.4g} | {measured['low']:.4g} to {measured['high']:.4g} |"


@pytest.fixture(scope="module")
def recipe_run(tmp_path_factory):
    """A run of a recipe of the user's own, which measures while it trains, and more pictures at the end."""
    here = tmp_path_factory.mktemp("recipe")
    test_recipes.pictures(here / "garments/train", 0, 120)
    test_recipes.pictures(here / "garments/test", 120, 40)
    (here / "garments/LICENCES.md").write_text("# Garments\n\n- pictures: MIT, by Zalando SE\n- package: none\n")
    recipe = test_recipes.TINY | {"data": {"source": "garments"},
                                  "evaluate": {"metrics": ["fd", "pr", "nn"], "num_images": 32, "num_inference_steps": 2}}
    recipe["train"] = recipe["train"] | {"evaluate_every": 12, "evaluate_num_images": 16, "evaluate_num_inference_steps": 2}
    (here / "tiny.json").write_text(json.dumps(recipe))
    run_here("recipe", "run", "tiny.json", "--output-dir", "run", cwd=here)
    return here / "run"


def test_the_card_of_a_recipes_run_holds_all_of_it(recipe_run):
    card = ModelCard.load(recipe_run / "README.md")
    for part in ("![samples](grid.png)", "![loss](loss.svg)", "## Recipe", "| error of the noise | ", ", on 40 unseen pictures |", "The licence of the model is not stated",
                 "The pictures that it learnt from: mit, by Zalando SE", "| attribution | Zalando SE |"):
        assert part in card.text, part
    result = json.loads((recipe_run / "result.json").read_text())["evaluation"]
    numbers = numbers_in(card)
    # At the end fewer things were measured, of more pictures: those win, the others stay as the log has them.
    of_the_log = {"kd_fmnist", "density", "coverage", "swd", "mmd"}
    assert set(numbers) == {"fd_fmnist", "precision", "recall", "copied_pixels", "copied_features"} | of_the_log
    for name, measured in result["metrics"].items():
        assert numbers[name][0] == pytest.approx(measured["value"], rel=1e-5) and numbers[name][1].metric_name == f"{name} of 32 pictures"
        assert row_of(name, measured) in card.text
        assert numbers[name][1].dataset_name == "32 drawn pictures beside 120 training pictures of garments" and numbers[name][1].dataset_split == "train"
    assert numbers["copied_pixels"][0] == pytest.approx(result["copying"]["pixels"]["flagged"])
    logged = [r for r in map(json.loads, (recipe_run / "log.jsonl").read_text().splitlines()) if "metrics" in r][-1]["metrics"]
    for name in of_the_log:
        assert numbers[name][0] == pytest.approx(logged[name]["value"], rel=1e-5) and numbers[name][1].metric_name == f"{name} of 16 pictures"
        assert row_of(name, logged[name]) in card.text
    for word in ("threshold", "num_features", "rank_z", "held-out pictures", str(recipe_run.parent)):
        assert word not in card.content, word
    assert card.text.count("DDIMScheduler, 2 steps") == 2
    assert json.loads(Image.open(recipe_run / "grid.png").text["parameters"])["model"] == "."  # it goes with the card: nobody's folders


def test_the_command_in_the_card_of_a_recipes_run_repeats_it(recipe_run, tmp_path):
    """Somebody else has the pictures and the card, and not the recipe's file."""
    command = re.search(r"## Recipe.*?```sh\n(.*?)\n```", (recipe_run / "README.md").read_text(), re.S)[1]
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:2] == ["unnoise", "train"] and "--recipe" not in words
    (tmp_path / "garments").symlink_to(recipe_run.parent / "garments")
    run_here(*words[1:], "--output-dir", "again", "--threads", 1, cwd=tmp_path)
    assert test_recipes.losses(tmp_path / "again") == test_recipes.losses(recipe_run) and len(test_recipes.losses(recipe_run)) == 24


def test_a_push_of_a_recipes_run_brings_the_samples_of_its_card(world, recipe_run):
    world.run("push", "--model", recipe_run, "--repo", "ada/m")
    files = world.hub.repositories["ada/m"].head("main").files
    assert {"grid.png", "loss.svg", "README.md"} <= files.keys() and b"![samples](grid.png)" in files["README.md"].content


def test_what_evaluate_prints_goes_into_the_card(world, trained, pictures, tmp_path):
    mine, many = tmp_path / "mine", tmp_path / "many"
    subprocess.run(["cp", "-r", trained, mine], check=True)
    many.mkdir()
    for i in range(3):
        for picture in pictures.iterdir():
            (many / f"{i}{picture.name}").symlink_to(picture)

    def measure(*how):
        (tmp_path / "quality.json").write_text(world.run("evaluate", "--model", mine, "--data", many, *how, "--json").stdout)
        world.run("card", "--model", mine, "--evaluation", tmp_path / "quality.json")
        return json.loads((tmp_path / "quality.json").read_text()), ModelCard.load(mine / "README.md")

    quality, card = measure("--metrics", "fd,swd,nn", "--features", "pixels", "--num-images", 16, "--num-inference-steps", 2)
    numbers = numbers_in(card)
    assert set(numbers) == set(quality["metrics"]) | {"copied_pixels", "copied_features"} and "fd_pixels" in numbers
    assert row_of("fd_pixels", quality["metrics"]["fd_pixels"]) in card.text
    assert "16 drawn pictures beside 24 training pictures of many; features: pixels; drawn with DDIMScheduler, 2 steps" in card.text
    # A likelihood stands beside it, and a later one in its place.
    for count in (2, 3):
        likelihood, card = measure("--bits-per-dim", "--split", "train", "--num-images", count, "--rtol", 0.1, "--atol", 0.1)
        bits, error = likelihood["bits_per_dim"], likelihood["standard_error"]
        assert f"{count} training pictures of many\n\n| measure" in card.text
        assert row_of("bits_per_dim", {"value": bits, "low": bits - 1.96 * error, "high": bits + 1.96 * error}) in card.text
        assert set(numbers_in(card)) == set(numbers) | {"bits_per_dim"} and card.text.count("bits_per_dim") == 1
    world.run("card", "--model", mine)  # nothing is forgotten
    assert set(numbers_in(ModelCard.load(mine / "README.md"))) == set(numbers) | {"bits_per_dim"}
    assert str(tmp_path) not in (mine / "evaluation.json").read_text() + (mine / "README.md").read_text()


@pytest.mark.parametrize("text,says", [('{"bits_per_dim": 3.25}', "of how many pictures"), ("{}", "found no number"), ("[]", "found no number"), ('{"metrics": 3}', "found no number"),
                                       ('{"metrics": {"fd_fmnist": {"value": "low"}}, "num_images": 5}', "found no number")])
def test_what_is_no_measurement_is_refused(world, trained, tmp_path, text, says):
    (tmp_path / "q.json").write_text(text)
    done = world.run("card", "--model", trained, "--evaluation", tmp_path / "q.json", "--print", code=3)
    assert says in done.stderr and "unnoise evaluate --json" in done.stderr and done.stdout == ""


# --- licences of the pictures

def test_the_card_names_the_licence_and_the_authors_of_the_pictures(world, tmp_path):
    """Of what `unnoise data get` installs, as it is, packed and cut; and of a set that Debian installs, by name."""
    done = world.finish(world.start("data", "get", "digits", "--to", tmp_path / "sets"))
    if done.returncode == 4:
        pytest.skip("no package registry here: " + done.stderr[-200:])
    digits = tmp_path / "sets/digits"
    world.run("data", "build", digits, "--output", tmp_path / "packed")
    test_recipes.pictures(tmp_path / "plain", 0, 20)
    (tmp_path / "plain/LICENCES.md").write_bytes((digits / "LICENCES.md").read_bytes())
    world.run("data", "split", tmp_path / "plain", "--output", tmp_path / "cut")
    packed = DatasetCard.load(tmp_path / "packed/README.md")
    assert packed.data.license == "cc-by-4.0" and "E. Alpaydin, C. Kaynak" in packed.text
    config = tmp_path / "grey.json"
    config.write_text(json.dumps(TINY | {"in_channels": 1, "out_channels": 1, "sample_size": 8, "block_out_channels": [8, 8]}))
    for data, licence, authors in ((digits, "cc-by-4.0", "E. Alpaydin, C. Kaynak"), (tmp_path / "packed", "cc-by-4.0", "E. Alpaydin, C. Kaynak"),
                                   (tmp_path / "cut", "cc-by-4.0", "E. Alpaydin, C. Kaynak"), ("fashion-mnist", "mit", "Zalando SE"),
                                   ("/usr/share/datasets/fashion-mnist", "mit", "Zalando SE")):
        world.run("train", "--dataset-name", data, "--model-config-name-or-path", config, "--max-train-steps", 1, "--save-images-epochs", 0,
                  "--checkpointing-steps", 0, "--output-dir", tmp_path / "out", "--overwrite-output-dir")
        text = (tmp_path / "out/README.md").read_text()
        assert f"The pictures that it learnt from: {licence}, by {authors}" in text, (data, text)
        assert f"| licence | {licence} |\n| attribution | {authors}" in text and str(tmp_path) not in text


# --- the tutorial

def test_the_commands_of_the_tutorial_work(world, trained, pictures, tmp_path):
    """docs/share-it.md, in its order, with the tiny model in the place of yours; shorter where the page says so, as in test_tutorials.py."""
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs/share-it.md").read_text()
    subprocess.run(["cp", "-r", trained, tmp_path / "my-model"], check=True)
    (tmp_path / "my-pictures").mkdir()
    for i in range(3):
        for picture in pictures.iterdir():
            (tmp_path / f"my-pictures/{i}{picture.name}").write_bytes(picture.read_bytes())
    world.hub.users[TOKEN] = "me"
    world.environment["PATH"] = f"{BUILD}:{os.environ['PATH']}"
    blocks = re.findall(r"(?:<!-- test: ((?:(?!-->).)*) -->\n)?```sh\n(.*?)```", page, re.S)
    assert len(blocks) >= 8
    for shorter, command in blocks:
        done = subprocess.run(["bash", "-euc", shorter or command], capture_output=True, text=True, env=world.environment, cwd=tmp_path)
        world.outputs += [done.stdout, done.stderr]
        assert done.returncode == 0, (shorter or command, done.stdout, done.stderr)
    assert world.hub.repositories.keys() == {"me/my-model", "datasets/me/my-set"}
    assert ModelCard.load(tmp_path / "their-model/README.md").data.datasets == ["me/my-set"]
