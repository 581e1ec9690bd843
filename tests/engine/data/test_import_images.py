"""Class folders of images become one array, whatever they were."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tarfile
import time
import zlib
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import class_folders, encoded, picture, zipped
from PIL import Image

from engine.catalog import BadInput
from engine.data import images, pixels
from engine.data.imports import Step, bring_in, sweep

SPLITS = ("train", "validation", "test")


# --- folders --------------------------------------------------------------------------------


def test_class_folders_are_split_in_the_same_proportions(pack, take):
    data, said = take(pack(class_folders("cat", "dog", each=20)))
    assert data.classes == ("cat", "dog")
    assert data.version.counts == {"train": (16, 16), "validation": (2, 2), "test": (2, 2)}
    assert (said.card, said.provides) == ("ImportedImages", ("image", "label"))
    assert said.bytes == sum(f.stat().st_size for f in data.folder.rglob("*") if f.is_file())
    for split in SPLITS:
        labels = data.labels[data.rows(split)]
        assert np.bincount(labels).tolist() == list(data.version.counts[split])


def test_every_pixel_arrives_under_its_name_and_label(pack, take):
    files = class_folders("a", "b", each=7)
    data, _ = take(pack(files))
    assert sorted(data.names) == sorted(files)
    for i, name in enumerate(data.names):
        original = np.asarray(Image.open(io.BytesIO(files[name])))
        assert np.array_equal(data.images[i], original)
        assert data.classes[data.labels[i]] == name.split("/")[0]


def test_the_seed_decides_the_split_and_nothing_else(pack, take):
    path = pack(class_folders("a", "b", each=20))
    first, again, other = (take(path, seed=seed)[0] for seed in (1, 1, 2))
    assert first.names == again.names == other.names
    assert first.splits.tolist() == again.splits.tolist()
    assert first.splits.tolist() != other.splits.tolist()
    assert np.array_equal(first.images, other.images)
    assert first.manifest.fingerprint == other.manifest.fingerprint


def test_given_splits_are_kept_and_a_missing_validation_is_carved_from_train(pack, take):
    files = class_folders("a", "b", each=20, top="Train/") | class_folders("a", "b", top="test/")
    data, _ = take(pack(files))
    assert data.version.counts == {"train": (18, 18), "validation": (2, 2), "test": (5, 5)}
    names = {split: [data.names[row] for row in data.rows(split)] for split in SPLITS}
    assert all(name.startswith("test/") for name in names["test"])
    assert all(name.startswith("Train/") for name in names["train"] + names["validation"])


def test_one_example_a_class_is_all_for_training(pack, take):
    """Beside a test split, too: there is nothing of which some could be held back."""
    files = class_folders("a", "b", each=1, top="train/") | class_folders(
        "a", "b", each=3, top="test/"
    )
    data, _ = take(pack(files))
    assert data.version.counts == {"train": (1, 1), "validation": (0, 0), "test": (3, 3)}
    data, _ = take(pack(class_folders("a", "b", each=1), "alone.zip"))
    assert data.version.counts == {"train": (1, 1), "validation": (0, 0), "test": (0, 0)}


def test_all_three_splits_are_taken_as_they_are(pack, take):
    files = {}
    for top, each in (("training", 4), ("val", 2), ("testing", 1)):
        files |= class_folders("a", "b", each=each, top=f"data/{top}/")
    data, _ = take(pack(files))
    assert data.version.counts == {"train": (4, 4), "validation": (2, 2), "test": (1, 1)}


def test_train_alone_is_split_like_plain_class_folders(pack, take):
    data, _ = take(pack(class_folders("a", "b", each=10, top="train/")))
    assert data.version.counts == {"train": (8, 8), "validation": (1, 1), "test": (1, 1)}


def test_a_class_may_be_called_train(pack, take):
    data, _ = take(pack(class_folders("train", "bus")))
    assert data.classes == ("bus", "train")


def test_litter_and_one_top_folder_are_passed_over(pack, take):
    files = class_folders("cat", "dog", top="pets/") | {
        "__MACOSX/pets/cat/._0.png": b"x", "pets/.DS_Store": b"x", "pets/cat/Thumbs.db": b"x",
        "pets/cat/.hidden.png": b"x", "pets/cat/desktop.ini": b"x",
    }  # fmt: skip
    data, said = take(pack(files))
    assert data.classes == ("cat", "dog")
    assert len(data.labels) == 10
    assert not said.warnings


def test_what_is_no_image_or_in_no_class_is_left_out_with_a_word(pack, take):
    files = class_folders("cat", "dog") | {"readme.txt": b"hello", "cover.png": picture()}
    _, said = take(pack(files))
    assert any("“readme.txt”" in warning for warning in said.warnings)
    assert any("“cover.png”" in warning for warning in said.warnings)


def test_folders_inside_a_class_folder_count_to_the_class(pack, take):
    files = class_folders("monday", "tuesday", top="cat/") | class_folders("dog", each=6)
    data, said = take(pack(files))
    assert data.classes == ("cat", "dog")
    assert any("10 files lie in folders inside" in warning for warning in said.warnings)


def test_folders_inside_folders_can_each_be_a_class(pack, take):
    files = (
        class_folders("one", "two", top="omni/greek/") | class_folders("one", top="omni/latin/")
    )  # fmt: skip
    data, said = take(pack(files), classes="path")
    assert data.classes == ("greek/one", "greek/two", "latin/one")
    assert not said.warnings


def test_splits_are_no_part_of_a_path_that_is_a_class(pack, take):
    files = {
        f"{split}/{path}": content
        for split in ("train", "test")
        for path, content in class_folders("one", "two", top="greek/").items()
    }
    data, _ = take(pack(files), classes="path")
    assert data.classes == ("greek/one", "greek/two")
    assert data.version.counts["test"] == (5, 5)


def test_classes_are_sorted_as_people_count(pack, take):
    data, _ = take(pack(class_folders("10", "2", "b1", "A2", each=3)))
    assert data.classes == ("2", "10", "A2", "b1")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("猫", "猫"), ("кот", "кот"), ("قطة", "قطة"), ('say "miau" \'n', 'say "miau" \'n'),
        ("line\nbreak", "line break"), ("gpj\u202etac", "gpj tac"), ("👨‍👩‍👧", "👨‍👩‍👧"),
        ("e\u0301", "é"), ("x" * 255, "x" * 255), ("<script>", "<script>"),
    ],
)  # fmt: skip
def test_a_class_may_have_any_name_in_one_line(pack, take, raw, name):
    data, _ = take(pack(class_folders(raw, "zzz", each=3)))
    assert name in data.classes


def test_names_are_read_though_their_encoding_was_not_said(tmp_path, take):
    # As macOS (UTF-8) and Windows in Chinese (GBK) write them: no flag that says so.
    for folder, encoding in (("猫科", "utf-8"), ("猫科", "gb2312")):
        raw = folder.encode(encoding)
        path = zipped(class_folders("#" * len(raw), "dog", each=3), tmp_path / f"{encoding}.zip")
        path.write_bytes(path.read_bytes().replace(b"#" * len(raw), raw))
        assert take(path)[0].classes == ("dog", folder)


def test_a_folder_its_zip_and_its_tars_give_the_same_arrays(tmp_path, take):
    files = class_folders("a", "b", "c")
    folder = tmp_path / "pets"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    sources = [folder, zipped(dict(reversed(files.items())), tmp_path / "pets.zip")]
    for ending in ("", ".gz", ".bz2", ".xz"):
        sources.append(tmp_path / f"pets.tar{ending}")
        with tarfile.open(sources[-1], f"w:{ending[1:]}") as archive:
            archive.add(folder, "pets")
    first, *others = (take(source)[0] for source in sources)
    for other in others:
        assert np.array_equal(first.images, other.images)
        assert np.array_equal(first.labels, other.labels)


# --- pixels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_each_format_is_read(pack, take, file_format):
    grey = np.tile(np.arange(0, 160, 10, dtype=np.uint8), (16, 1))
    content = encoded(grey, file_format, mode="RGB")
    data, _ = take(pack({f"{c}/{i}.jpg": content for c in "ab" for i in range(3)}))
    assert np.abs(data.images[0].mean(axis=-1) - grey).max() < 8


def test_one_size_is_kept_and_grey_stays_grey(pack, take):
    grey = np.arange(600, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
    deep = grey.astype(np.uint16) * 257
    content = {"8": encoded(grey), "alpha": encoded(grey, mode="LA"), "16": encoded(deep),
               "gif": encoded(grey, "GIF")}  # fmt: skip
    data, _ = take(pack({f"{c}/{n}.png": b for c in "ab" for n, b in content.items()}))
    assert data.shape == (20, 30, 1)
    assert all(np.array_equal(image[:, :, 0], grey) for image in data.images)


def test_one_colour_image_makes_all_of_them_colour(pack, take):
    files = {f"{c}/{i}.png": encoded(np.full((10, 12), 77, np.uint8)) for c in "ab" for i in "123"}
    data, _ = take(pack(files | {"a/4.png": picture()}))
    assert data.shape == (10, 12, 3)
    assert (data.images[data.names.index("b/1.png")] == 77).all()


@pytest.mark.parametrize(
    ("short_sides", "side"), [((20, 20, 25), 28), ((40, 41, 300), 48), ((300, 400, 900), 128)]
)
def test_many_sizes_become_the_square_nearest_to_the_middle_one(pack, take, short_sides, side):
    files = {
        f"{c}/{i}.png": picture(size=(short, short + 7))
        for c in "ab"
        for i, short in enumerate(short_sides)
    }
    assert take(pack(files))[0].shape == (side, side, 3)


def test_the_sizes_that_pictures_had_are_kept_in_their_order(pack, take):
    files = {f"{c}/{i}.png": picture(i, size=(10 + i, 40)) for c in "ab" for i in range(4)}
    whole = picture(9, size=(64, 64), file_format="JPEG")
    path = pack(files | {"a/1a.jpg": whole[: len(whole) // 2], "a/0a.png": b"no image"})
    data, _ = take(path, skip_broken=True)
    assert data.sizes.tolist() == [[40, 10 + int(name[2])] for name in data.names]
    assert take(pack(class_folders("a", "b")))[0].sizes is None


def test_large_images_of_one_size_are_made_small(pack, take):
    assert take(pack(class_folders("a", "b", each=3, size=(300, 300))))[0].shape == (128, 128, 3)


def test_a_size_that_is_asked_for_is_what_comes(pack, take):
    assert take(pack(class_folders("a", "b")), size=16)[0].shape == (16, 16, 3)


def test_scaling_covers_the_square_and_cuts_at_the_centre():
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 200  # the middle third is the square
    assert (pixels.decode(encoded(wide), 20, 20, 3)[:, 2:-2] == 200).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_that_is_decoded_small_looks_the_same(mode):
    ramp = np.linspace(0, 255, 1200).astype(np.uint8)
    image = np.stack([np.tile(ramp, (900, 1)), np.tile(ramp[::-1], (900, 1)),
                      np.full((900, 1200), 90, np.uint8)], axis=-1)  # fmt: skip
    content = encoded(image, "JPEG", mode=mode, quality=95)
    whole = pixels.fit(Image.open(io.BytesIO(content)), 64, 64, 3)
    small = pixels.decode(content, 64, 64, 3)
    assert np.abs(whole.astype(int) - small).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_turned_photo_stands_upright(file_format, orientation):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255  # bright at the upper left
    image = Image.fromarray(upright)
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that undoes it
    if orientation in back:
        image = image.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.save(out, file_format, exif=exif, **({"quality": 95} if file_format == "JPEG" else {}))
    header = pixels.header(out.getvalue())
    assert (header.width, header.height) == (32, 16)
    decoded = pixels.decode(out.getvalue(), 16, 32, 3)
    assert np.abs(decoded.astype(int) - upright).mean() < 6


def test_palettes_transparency_and_print_colours_become_rgb():
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 255
    for content in (encoded(red, mode="P"), encoded(red, "GIF"), encoded(red, mode="RGBA"),
                    encoded(red, "JPEG", mode="CMYK", quality=95)):  # fmt: skip
        assert np.abs(pixels.decode(content, 8, 8, 3).astype(int) - red).max() < 6
    glass = np.dstack([red, np.full((8, 8), 0, np.uint8)])
    assert (pixels.decode(encoded(glass), 8, 8, 3) == 0).all()
    half = np.dstack([red, np.full((8, 8), 128, np.uint8)])
    assert pixels.decode(encoded(half), 8, 8, 3)[0, 0].tolist() == [128, 0, 0]
    clear = encoded(red, mode="P", transparency=0)
    assert pixels.decode(clear, 8, 8, 3).shape == (8, 8, 3)


def test_deep_greys_keep_their_scale():
    for values, expected in (
        (np.array([[0, 25_700, 65_535]], np.uint16), [0, 100, 255]),
        (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
    ):
        content = encoded(values, "TIFF")
        assert pixels.decode(content, 1, 3, 1).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.array([[0, 256]], np.int32), "32-bit grey values outside 0…255"),
        (np.array([[-1, 200]], np.int32), "32-bit grey values outside 0…255"),
        (np.array([[0, 1.5]], np.float32), "floating-point grey values outside 0…1"),
        (np.array([[0, np.nan]], np.float32), "floating-point grey values outside 0…1"),
    ],
)
def test_greys_whose_scale_nothing_tells_are_refused(values, sentence):
    with pytest.raises(pixels.NotAnImage, match=sentence + ": save it with 8 or 16 bits"):
        pixels.decode(encoded(values, "TIFF"), 1, 2, 1)


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    for file_format in ("GIF", "WEBP", "PNG"):
        out = io.BytesIO()
        frames[0].save(out, file_format, save_all=True, append_images=frames[1:])
        assert pixels.decode(out.getvalue(), 8, 8, 3).min() > 250


# --- broken files ---------------------------------------------------------------------------


def broken(pack) -> Path:
    whole = picture(size=(64, 64), file_format="JPEG")
    files = class_folders("cat", "dog", each=6, size=(64, 64)) | {
        "cat/cut.jpg": whole[: len(whole) // 2], "cat/empty.png": b"", "dog/text.jpg": b"hello",
        "dog/phone.heic": b"\0\0\0\x18ftypheic" + bytes(50), "dog/bits.png": picture()[:40],
        "dog/lfs.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
    }  # fmt: skip
    return pack(files)


def test_unreadable_images_are_named_with_their_mend(pack, take):
    with pytest.raises(BadInput) as problem:
        take(broken(pack))
    assert "5 of 18 images can't be read" in str(problem.value)  # the sixth only shows decoding
    for part in ("“cat/empty.png” is empty", "“dog/text.jpg” is not a JPEG", "HEIC", "Git LFS",
                 "leave out what can't be read"):  # fmt: skip
        assert part in str(problem.value)
    assert problem.value.field == "skip_broken"


@pytest.mark.parametrize("processes", [False, True])
def test_unreadable_images_can_be_skipped_and_the_rest_is_right(pack, take, monkeypatch, processes):
    monkeypatch.setattr(images, "FEW_FILES", 0 if processes else 1000)
    path = broken(pack)
    data, said = take(path, skip_broken=True)
    assert len(data.labels) == len(data.names) == len(data.images) == 12
    assert any("“cat/cut.jpg” is cut short" in warning for warning in said.warnings)
    assert any("“cat/empty.png” is empty" in warning for warning in said.warnings)
    files = class_folders("cat", "dog", each=6, size=(64, 64))
    for i, name in enumerate(data.names):
        assert np.array_equal(data.images[i], np.asarray(Image.open(io.BytesIO(files[name]))))
    assert sum(map(sum, data.version.counts.values())) == 12


def test_a_header_beyond_the_first_64_kilobytes_is_found(pack, take):
    plain = picture(size=(8, 9), file_format="JPEG")
    comment = b"\xff\xfe\xff\xff" + b"x" * 65_533
    content = plain[:2] + 3 * comment + plain[2:]
    data, _ = take(pack({f"{c}/{i}.jpg": content for c in "ab" for i in range(3)}))
    assert data.shape == (8, 9, 3)


def test_an_image_of_too_many_pixels_is_refused_unopened(pack, take):
    huge = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(huge, "PNG")
    large = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(large, "PNG")
    for content in (huge, large):
        with pytest.raises(BadInput, match=r"“a/bomb.png” has .*more than 89,478,485"):
            take(pack(class_folders("a", "b") | {"a/bomb.png": content.getvalue()}))


def claimed(width: int, height: int) -> bytes:
    """A PNG whose header says that size, and which has a few pixels."""
    raw = bytearray(picture())
    raw[16:24] = struct.pack(">II", width, height)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    return bytes(raw)


def test_fifty_thousand_by_fifty_thousand_pixels_are_refused(pack, take):
    files = class_folders("a", "b") | {"a/huge.png": claimed(50_000, 50_000)}
    with pytest.raises(
        BadInput, match=r"“a/huge.png” has .*more than 89,478,485 pixels"
    ) as problem:
        take(pack(files))
    assert problem.value.field == "skip_broken"
    assert len(take(pack(files), skip_broken=True)[0]) == 10


def test_odd_images_among_others_all_arrive(pack, take):
    colour = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    frames = [Image.fromarray(colour), Image.new("RGB", (16, 16))]
    moving = io.BytesIO()
    frames[0].save(moving, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    frames[0].transpose(Image.Transpose.ROTATE_90).save(turned, "PNG", exif=exif)
    odd = {
        "animated.webp": moving.getvalue(), "turned.png": turned.getvalue(),
        "png.jpg": encoded(colour), "alpha.png": encoded(colour, mode="RGBA"),
    }  # fmt: skip
    other = {
        "palette.png": encoded(colour, mode="P"), "print.jpg": encoded(colour, "JPEG", mode="CMYK"),
        "grey.png": encoded(colour[..., 0]),
        "deep.png": encoded(colour[..., 0].astype(np.uint16) * 257),
    }  # fmt: skip
    files = {f"{c}/{n}": b for c in "ab" for n, b in (odd | other).items()}
    data, said = take(pack(files))
    assert data.shape == (16, 16, 3)
    assert not said.warnings
    for row, name in enumerate(data.names):
        if name[2:] in odd:
            assert np.array_equal(data.images[row], colour)
    for name in ("grey", "deep"):
        grey = data.images[data.names.index(f"a/{name}.png")]
        assert np.array_equal(grey, np.stack([colour[..., 0]] * 3, axis=-1))


# --- too little -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "is empty"),
        ({"notes.txt": b"x"}, "holds no images"),
        ({"inner.zip": b"PK", "more.tar.gz": b""}, "holds only other archives"),
        ({"table.csv": b"x", "readme.md": b""}, "no images but “table.csv”: import such"),
        (class_folders("a", "b", top="val/") | class_folders("a", "b", top="test/"),
         "none named train"),
        (class_folders("a", "b", top="train/") | class_folders("a", "c", top="test/"),
         "“c” in test is never in train"),
        (class_folders("a", "b", top="train/") | class_folders("a", "b", top="test/")
         | class_folders("a", top="extra/"), "beside them “extra”"),
        (class_folders("y" * 256, "b"), "more than 255 bytes"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(pack, take, files, sentence):
    with pytest.raises(BadInput, match=sentence):
        take(pack(files), kind="images")


def test_few_images_and_one_class_are_for_the_doctor_to_tell(pack, take):
    data, _ = take(pack(class_folders("cat", top="pets/")))
    assert data.classes == ("cat",)
    data, _ = take(pack(class_folders("cat") | class_folders("dog", each=1)))
    assert sum(map(sum, data.version.counts.values())) == 6


def test_images_in_no_folder_are_a_dataset_without_labels(pack, take):
    flat = {f"{i}.png": picture(i) for i in range(10)}
    data, said = take(pack(flat))
    assert said.provides == ("image",)
    assert data.labels is None
    assert data.classes == ()
    assert data.version.counts == {"train": (8,), "validation": (1,), "test": (1,)}
    data, _ = take(
        pack({f"{top}/{name}": b for top in ("train", "test") for name, b in flat.items()})
    )
    assert data.labels is None
    assert data.version.counts == {"train": (9,), "validation": (1,), "test": (10,)}


def test_an_empty_folder_and_linked_files(tmp_path, take):
    (tmp_path / "void").mkdir()
    with pytest.raises(BadInput, match="is empty"):
        take(tmp_path / "void")
    folder = tmp_path / "pets"
    for name, content in class_folders("a", "b").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "a" / "pipe.png")  # to read it would wait for ever
    (folder / "a" / "gone.png").symlink_to(tmp_path / "nothing")
    (folder / "a" / "round").symlink_to(folder)
    assert len(take(folder)[0].labels) == 10


def test_a_full_disk_is_said_before_anything_is_decoded(pack, take, monkeypatch):
    free = type("Usage", (), {"free": 2**20})()
    monkeypatch.setattr("shutil.disk_usage", lambda _: free)
    with pytest.raises(BadInput, match="1 MB are free: make room"):
        take(pack(class_folders("a", "b")))


# --- progress, processes, cancellation ------------------------------------------------------


def many(pack, count: int = 500) -> Path:
    return pack({f"{c}/{i}.png": picture(i) for c in "ab" for i in range(count)})


def test_processes_give_what_one_process_gives(pack, take, monkeypatch):
    path = many(pack, 30)
    alone, _ = take(path)
    monkeypatch.setattr(images, "FEW_FILES", 0)
    monkeypatch.setattr(images, "HEADERS", 7)
    monkeypatch.setattr(images, "BLOCK", 3000)
    shared, _ = take(path)
    assert np.array_equal(alone.images, shared.images)
    assert alone.manifest == shared.manifest


def test_progress_rises_to_the_end(pack, tmp_path):
    *steps, _ = bring_in(many(pack), tmp_path / "1")
    shares = [step.done / step.total for step in steps]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert all(step.text for step in steps)


def test_a_cancelled_import_leaves_no_file_and_no_process(pack, tmp_path):
    path = many(pack)
    before = set(psutil.Process().children())
    for stop_at in ("Looking", "Decoding", "Writing"):
        steps = bring_in(path, tmp_path / "1")
        for said in steps:
            assert isinstance(said, Step)
            if said.text.startswith(stop_at):
                break
        steps.close()
        assert set(psutil.Process().children()) == before
        assert not list(tmp_path.glob("1*"))


KILLED = """
import sys
from pathlib import Path
from engine.data import images
from engine.data.imports import bring_in
images.HEADERS = images.BLOCK = 1
for said in bring_in(Path(sys.argv[1]), Path(sys.argv[2])):
    print(said.text, flush=True)
"""


def test_a_killed_import_leaves_no_process_and_is_swept(pack, tmp_path):
    datasets = tmp_path / "datasets"
    datasets.mkdir()
    command = [sys.executable, "-c", KILLED, str(many(pack)), str(datasets / "7")]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        for line in process.stdout:
            if line.startswith("Looking"):
                break
        children = psutil.Process(process.pid).children()
        assert children
        process.kill()
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert (datasets / "7.partial").is_dir()
    (datasets / "8").mkdir()
    assert sweep(datasets, {7}) == []
    assert sweep(datasets, {8}) == [datasets / "7.partial"]
    assert [folder.name for folder in datasets.iterdir()] == ["8"]


def test_a_process_that_dies_ends_the_import_with_a_sentence(pack, tmp_path):
    before = set(psutil.Process().children())
    steps = bring_in(many(pack), tmp_path / "1")

    def run() -> None:
        for said in steps:
            for child in set(psutil.Process().children()) - before:
                if said.text.startswith("Looking"):
                    child.kill()

    with pytest.raises(RuntimeError, match="ended by signal 9"):
        run()
    assert not list(tmp_path.glob("1*"))


def test_importing_needs_no_torch_and_starts_fast():
    code = "import sys, engine.data.imports; assert not {'torch', 'pandas'} & set(sys.modules)"
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
    assert time.perf_counter() - start < 5  # a tenth of that, where nothing else runs


def test_a_few_pictures_are_all_to_learn_from_even_where_the_folders_name_splits(pack, take):
    files = {f"train/{name}/{i}.png": picture(10 * n + i) for n, name in enumerate("ab")
             for i in range(n + 1)} | {"test/a/9.png": picture(99)}  # fmt: skip
    data, made = take(pack(files), split="none")
    assert made.meta["counts"] == {"train": [2, 2], "validation": [0, 0], "test": [0, 0]}
    assert data.version.rule.how == "none"


def test_pictures_are_read_in_grey_or_in_colours_as_it_is_told(pack, take):
    colours = class_folders("a", "b")
    assert take(pack(colours), channels=1, size=8)[0].images.shape == (10, 8, 8, 1)
    grey = {f"{c}/{i}.png": encoded(np.full((9, 9), 20 * i, np.uint8)) for c in "ab"
            for i in range(5)}  # fmt: skip
    images = take(pack(grey, "grey.zip"), channels=3)[0].images
    assert images.shape == (10, 9, 9, 3)
    assert (images[..., :1] == images).all()
