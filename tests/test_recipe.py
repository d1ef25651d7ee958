import dataclasses

import pytest

from ser_core import recipe


@pytest.mark.parametrize("name", sorted(path.stem for path in recipe.RECIPES.glob("*.toml")))
def test_every_shipped_recipe_loads(name):
    assert recipe.load(name).name == name


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("training.epochs=0", "training.epochs"),
        ("training.speed=1", "unknown key 'training.speed'"),
        ('labels=["happy"]', "labels"),
        ('labels=["happy", "hungry"]', "'neutral', 'calm'"),
        ("network.name=transformer", "'cnn-bilstm'"),
        ("network.filters=[]", "network.filters"),
        ("augmentation.noise_db=[1]", "augmentation.noise_db"),
        ("network.pooling=[2]", "equally many"),
        ("augmentation.speeds=[3.0]", "augmentation.speeds"),
        ("features.bands=63", "multiple of bands"),
        ("features.bands=0", "features.bands"),
        ("features.sample_rate=8000", "features.sample_rate"),
        ("augmentation.mixup=-1", "augmentation.mixup"),
        ("augmentation.noise=7", "augmentation.noise"),
        ('labels=["happy", "happy"]', "named twice"),
        ("name=../x", "cannot be that of a folder"),
        ('name=""', "cannot be that of a folder"),
        ("training.averaging=2", "less than 1"),
        ("training.epochs=many", "'many'"),
        ("training.best=f1", "'loss' or 'uar'"),
        ('augmentation.only=["loud"]', "augmentation.only"),
        ('network={name="svm"}', "wants features that are pooled"),
        ('network={name="crnn", pooling=[[2, 2]]}', "equally many"),
        ('network={name="conv1d", filters=[]}', "must not both be empty"),
        ("network={}", "'name'"),
        ("network.name=resnet", "'network.name' is 'resnet': allowed are 'cnn-bilstm', 'crnn'"),
        ('data.channels=["whisper"]', "data.channels.* 'speech' or 'song'"),
        ("data.channels=[]", "data.channels"),
        ('features={names=["mfcc"]}', "only log-mel windows"),
        ('features={names=["mfcc", "mfcc"]}', "named twice"),
        ('features={names=["loudness"]}', "'mfcc', 'delta-mfcc', 'chroma'"),
        ('features={names=["mfcc"], n_mfcc=200}', "must not exceed n_mels"),
        ('features={names=["mfcc"], bands=64}', "unknown key 'features.bands'"),
        ("features=4", "features"),
        ("features=[]", "features"),
        ("features.frames=1", "features.frames"),
        ("features.n_fft=1", "features.n_fft"),
        ("features.hop_length=100000", "features.hop_length"),
        ("features.top_db=inf", "features.top_db"),
        ("network.filters=[100000000, 1, 1]", "network.filters"),
        ("network.pooling=[100, 1, 1]", "leave nothing of 188 frames"),
        ("training.epochs=1" + 400 * "0", "training.epochs.*…"),
        ("training.batch_size=1000000", "training.batch_size"),
        ("training.learning_rate=inf", "training.learning_rate"),
        ("training.learning_rate=nan", "training.learning_rate"),
        ("augmentation.noise_db=[nan, inf]", "augmentation.noise_db"),
        ("data.corpus=ravdess+ravdess", "a corpus is named twice"),
        ("nonsense", "key=value"),
        ("name.first=1", "not a key"),
    ],
)
def test_a_wrong_value_gets_a_sentence_that_names_it(setting, says):
    with pytest.raises(recipe.RecipeError, match=says) as error:
        recipe.load("swift", [setting])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "not a TOML file"),
        ("name = 'x'", "lacks the key 'description'"),
        ("\xff", "not a TOML file"),
    ],
)
def test_a_wrong_file_gets_a_sentence(tmp_path, text, says):
    path = tmp_path / "own.toml"
    path.write_text(text, "latin-1")
    with pytest.raises(recipe.RecipeError, match=says):
        recipe.load(path)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(recipe.RecipeError, match="known are .*swift"):
        recipe.load("slow")


def test_settings_reach_nested_keys():
    changed = recipe.load("swift", ["training.epochs=7", "network.lstm_units=8"])
    assert (changed.training.epochs, changed.network.lstm_units) == (7, 8)


def test_the_digest_is_of_everything_but_the_seed():
    plain = recipe.load("swift")
    assert recipe.load("swift", ["training.seed=5"]).digest == plain.digest
    assert recipe.load("swift", ["training.epochs=5"]).digest != plain.digest
    assert dataclasses.replace(plain, description="In other words.").digest == plain.digest
    claim = recipe.Published(accuracy=0.9, protocol="random-80-20")
    assert dataclasses.replace(plain, published=claim).digest == plain.digest


def test_what_is_spelled_out_at_its_default_leaves_the_digest_alone():
    plain = recipe.load("swift")
    assert (
        recipe.load("swift", ["training.best=loss", "augmentation.only=[]"]).digest == plain.digest
    )
