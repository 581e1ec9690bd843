"""Datasets: one file, one class, one choice on the page."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np

from engine.augmentation.mixing import Mixing
from engine.augmentation.pictures import PictureVariation
from engine.augmentation.policies import Policy, PolicyName
from engine.augmentation.sequences import SequenceVariation
from engine.augmentation.synonyms import grouped
from engine.augmentation.texts import TextVariation
from engine.augmentation.views import Views
from engine.catalog import (
    Advanced,
    Augments,
    BadInput,
    Choosable,
    Help,
    Lines,
    Only,
    Range,
    Spectral,
)
from engine.data.arrays import Stored
from engine.data.batches import Data
from engine.data.items import Items
from engine.data.naming import named
from engine.data.spectra import Listening, Variation
from engine.data.splits import SPLITS, Rows, Split, stratified
from engine.data.tokens import Tokenizer, TokenizerName, Tokenizing
from engine.data.waveforms import sampled
from engine.home import Home

Validation = Annotated[
    float, Range(0.02, 0.4, step=0.01), Advanced(),
    Help("The share of each class kept aside to check progress after every epoch",
         label="Validation share"),
]  # fmt: skip
Test = Annotated[
    float, Range(0.02, 0.4, step=0.01), Advanced(),
    Help("The share of each class kept aside for the final test", label="Test share"),
]  # fmt: skip
SplitSeed = Annotated[
    int, Range(0, 2**31 - 1), Advanced(),
    Help("Decides which items are kept aside; keep it to compare runs", label="Split seed"),
]  # fmt: skip
Shift = Annotated[
    int, Range(0, 32), Augments(0),
    Help("Training pictures are moved at random by up to this much", label="Random shift",
         unit="pixels"),
]  # fmt: skip
TokenizerChoice = Annotated[
    TokenizerName,
    Help("Words suit small labelled sets in one language; BPE and WordPiece cut rare words to "
         "pieces and know every script; characters are the simplest and the slowest"),
]  # fmt: skip
Vocabulary = Annotated[
    int, Range(64, 100_000),
    Help("At most this many different tokens, learned from the training split alone",
         unit="tokens"),
]  # fmt: skip
Lowercase = Annotated[bool, Advanced(), Help("Read capital letters as small ones")]
Longest = Annotated[
    int | None, Range(4, 100_000), Advanced(),
    Help("Only this many tokens of a text are read, the first ones", label="Longest text",
         unit="tokens", empty="whole texts"),
]  # fmt: skip
Flip = Annotated[
    bool, Augments(off=False),
    Help("Training pictures are mirrored at random: right for animals, wrong for digits",
         label="Random mirror"),
]  # fmt: skip


Mixup = Annotated[
    float, Range(0, 4, step=0.05), Augments(0.0, "shares"),
    Help("Each training item is blended with another, and so are their labels; the larger, the "
         "more evenly: 0.2 for many items, 1 for few", label="MixUp"),
]  # fmt: skip


Warp = Annotated[
    float, Range(0, 0.5, step=0.01), Augments(0.0), Spectral(),
    Help("Training voices are made higher or lower at random by up to this share: helps with "
         "voices never heard", label="Random voice"),
]  # fmt: skip
Speed = Annotated[
    float, Range(0, 0.5, step=0.01), Augments(0.0),
    Help("Training recordings are made slower or faster at random by up to this share",
         label="Random speed"),
]  # fmt: skip
Gain = Annotated[
    float, Range(0, 40), Advanced(), Augments(0.0),
    Help("Training recordings are made louder or softer at random by up to this much",
         label="Random loudness", unit="dB"),
]  # fmt: skip
Tone = Annotated[
    float, Range(0, 40), Advanced(), Augments(0.0), Spectral(),
    Help("Some frequencies are raised or lowered against others at random by up to this much: "
         "helps with other microphones", label="Random tone", unit="dB"),
]  # fmt: skip
TimeMasks = Annotated[
    int, Range(0, 8), Advanced(), Augments(0),
    Help("So many stretches of time are hidden in each training recording"),
]  # fmt: skip
FrequencyMasks = Annotated[
    int, Range(0, 8), Advanced(), Augments(0), Spectral(),
    Help("So many runs of bands are hidden in each training recording"),
]  # fmt: skip


class Dataset(Choosable, kind="data"):
    """What a run learns from; `open` brings its items within reach."""

    licence: ClassVar[str] = ""
    source: ClassVar[str] = ""

    @abstractmethod
    def open(self, home: Home) -> Data:
        """The items as they are, mapped or in memory. BadInput when they can't be had."""

    def stored(self, home: Home) -> Stored | None:
        """Its folder, opened in the version that is meant, where a person brought it in."""
        return None

    def ready(
        self, data: Data, home: Home, tokenizer: Tokenizer | None = None, rate: int | None = None
    ) -> Data:
        """What `open` gave, as a run is fed: texts as tokens, recordings as spectra, or as samples
        of a `rate` for a model that reads them so (`engine.models.Model.hears`).

        `tokenizer` is that of the weights which a run starts from; without one, texts get their
        own vocabulary.
        """
        return data


class SplitAtRandom(Dataset):
    """A dataset that comes in one piece: a stratified split with a seed."""

    def __init__(
        self, *, validation: Validation = 0.1, test: Test = 0.1, split_seed: SplitSeed = 0
    ) -> None:
        self.shares: dict[str, Any] = {"validation": validation, "test": test, "seed": split_seed}

    def split(self, labels: Rows) -> dict[Split, Rows]:
        return stratified(np.asarray(labels), **self.shares)


class Pictures(Dataset):
    """A dataset of pictures; `variation` is how training ones are varied."""

    def __init__(
        self,
        *,
        shift: Shift = 2,
        flip: Flip = False,
        policy: Annotated[
            PolicyName, Augments("none", "items"),
            Help("Operations drawn at random for each training picture, of geometry and colour: "
                 "RandAugment some of one magnitude, TrivialAugment one of any",
                 label="Augmentation policy"),
        ] = "none",
        operations: Annotated[
            int, Range(1, 4), Only("policy", "RandAugment"),
            Augments(2, "items"), Help("So many are drawn for each picture"),
        ] = 2,
        magnitude: Annotated[
            int, Range(0, 30), Only("policy", "RandAugment"),
            Augments(9, "items"), Help("How strong they are, of 30: more suits larger models"),
        ] = 9,
        crop: Annotated[
            float, Range(0.05, 1, step=0.01), Advanced(), Augments(1.0, "items"),
            Help("A part of each training picture, of at least this share of its area, is enlarged "
                 "to the whole; 1 leaves pictures whole", label="Smallest crop"),
        ] = 1.0,
        jitter: Annotated[
            float, Range(0, 1, step=0.05), Advanced(), Augments(0.0, "items"),
            Help("How far brightness, contrast and colours of training pictures change",
                 label="Colour jitter"),
        ] = 0.0,
        erase: Annotated[
            float, Range(0, 1, step=0.05), Advanced(), Augments(0.0, "items"),
            Help("The share of training pictures in which a rectangle becomes black",
                 label="Random erasing"),
        ] = 0.0,
        mixup: Mixup = 0.0,
        cutmix: Annotated[
            float, Range(0, 4, step=0.05), Augments(0.0, "shares"),
            Help("A box of each training picture comes from another, and so much of the label; 1 "
                 "makes boxes of every size as likely", label="CutMix"),
        ] = 0.0,
        **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(**more)
        self.variation = PictureVariation(
            shift, flip, Views(smallest=crop, jitter=jitter, grey=0),
            Policy(policy, operations, magnitude), erase, Mixing(mixup, cutmix),
        )  # fmt: skip


class Tokenized(Dataset):
    """A dataset of texts, or of pairs of them, which a model reads as tokens."""

    def __init__(
        self,
        *,
        tokenizer: TokenizerChoice = "BPE",
        vocabulary: Vocabulary = 8000,
        lowercase: Lowercase = False,
        longest: Longest = 256,
        **which: Any,
    ) -> None:
        super().__init__(**which)
        self.tokenizing = Tokenizing(tokenizer, vocabulary, lowercase, longest)

    def ready(
        self, data: Data, home: Home, tokenizer: Tokenizer | None = None, rate: int | None = None
    ) -> Data:
        return self.tokenizing.tokens(data, home, tokenizer)


class Writings(Tokenized):
    """A dataset of texts that stand for themselves."""

    def __init__(
        self,
        *,
        swap: Annotated[
            float, Range(0, 0.5, step=0.01), Augments(0.0, "label"),
            Help("Pairs of a training text's words change places, so many for each word",
                 label="Swapped words"),
        ] = 0.0,
        synonyms: Annotated[
            str | None, Lines(), Advanced(),
            Help("Words that mean the same, a group in a line, with commas between: film, movie, "
                 "motion picture")
        ] = None,
        substitute: Annotated[
            float, Range(0, 0.5, step=0.01), Augments(0.0, "label"),
            Help("This share of a training text's words becomes a synonym, where one is listed",
                 label="Words replaced by synonyms"),
        ] = 0.0,
        insert: Annotated[
            float, Range(0, 0.5, step=0.01), Augments(0.0, "label"),
            Help("This share of a training text's words comes a second time, anywhere; as a "
                 "synonym, where one is listed", label="Repeated words"),
        ] = 0.0,
        delete: Annotated[
            float, Range(0, 0.5, step=0.01), Augments(0.0, "label"),
            Help("This share of a training text's words is left out", label="Left-out words"),
        ] = 0.0,
        mask: Annotated[
            float, Range(0, 0.5, step=0.01), Augments(0.0, "label"),
            Help("This share of a training text's words is covered by blanks",
                 label="Covered words"),
        ] = 0.0,
        **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(**more)
        try:
            groups = grouped(synonyms or "")
        except BadInput as problem:
            raise BadInput(str(problem), field="data.synonyms") from None
        if substitute and not groups:
            raise BadInput(
                "Words can be replaced once it is said which mean the same: list synonyms",
                field="data.synonyms",
            )
        variation = TextVariation(
            swap=swap, substitute=substitute, insert=insert, delete=delete, mask=mask,
            synonyms=groups,
        )  # fmt: skip
        self.tokenizing = replace(self.tokenizing, variation=variation)


class Series(Dataset):
    """A dataset of sequences of numbers; `variation` is how training ones are varied."""

    def __init__(
        self,
        *,
        jitter: Annotated[
            float, Range(0, 1, step=0.01), Augments(0.0, "label"),
            Help("Noise is added to training sequences, in standard deviations of each feature",
                 label="Random noise"),
        ] = 0.0,
        scale: Annotated[
            float, Range(0, 1, step=0.01), Augments(0.0, "label"),
            Help("Each feature of a training sequence is multiplied by a number about 1, which "
                 "deviates by so much", label="Random scale"),
        ] = 0.0,
        warp: Annotated[
            float, Range(0, 1, step=0.01), Augments(0.0, "label"),
            Help("Parts of training sequences become slower and others faster",
                 label="Time warp"),
        ] = 0.0,
        slice: Annotated[
            float, Range(0.05, 1, step=0.01), Augments(1.0, "label"),
            Help("A window of at least this share of a training sequence is seen; 1 leaves it "
                 "whole", label="Shortest window"),
        ] = 1.0,
        mixup: Mixup = 0.0,
        **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(**more)
        self.variation = SequenceVariation(jitter, scale, warp, slice, Mixing(mixup))


class Recordings(Dataset):
    """A dataset of recordings; `variation` is how training ones are varied."""

    listening: Listening

    def __init__(
        self,
        *,
        warp: Warp = 0.0,
        speed: Speed = 0.0,
        gain: Gain = 0.0,
        tone: Tone = 0.0,
        noise: Annotated[
            float, Range(0, 70), Advanced(), Augments(0.0),
            Help("Hiss is added to training recordings at random, from inaudible to so much above "
                 "that", label="Random hiss", unit="dB"),
        ] = 0.0,
        shift: Annotated[
            float, Range(0, 2000), Advanced(), Augments(0.0, "label"),
            Help("Training recordings begin earlier or later by up to this much; what leaves at an "
                 "end is lost", label="Random start", unit="ms"),
        ] = 0.0,
        background: Annotated[
            float, Range(0, 1, step=0.05), Advanced(), Augments(0.0, "items"),
            Help("The share of training recordings behind which another is heard, 5 to 20 dB "
                 "softer", label="Background"),
        ] = 0.0,
        time_masks: TimeMasks = 0,
        frequency_masks: FrequencyMasks = 0,
        mixup: Mixup = 0.0,
        **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(**more)
        self.variation = Variation(
            warp, speed, gain, tone, noise, time_masks, frequency_masks, shift, background,
            Mixing(mixup),
        )  # fmt: skip

    def ready(
        self, data: Data, home: Home, tokenizer: Tokenizer | None = None, rate: int | None = None
    ) -> Data:
        if rate is not None:
            return sampled(data, home, rate, self.listening, tokenizer)
        return self.listening.spectra(data, home, tokenizer)


class TypedLabels(Dataset):
    """Classes without a single item: all that is known of them is what they are called."""

    source = "typed by hand"

    def __init__(
        self,
        *,
        labels: Annotated[
            str, Lines(),
            Help("The classes, one a line; after a “:” a sentence that says what it is: “sports: "
                 "news about games and athletes”; several sentences are separated by “ | ”")
        ],
    ) -> None:  # fmt: skip
        try:
            self.named = named(labels)
        except BadInput as problem:
            raise BadInput(str(problem), field="data.labels") from None

    def data(self, items: Items) -> Data:
        """No item of that kind, and the classes."""
        said = repr(self.named).encode()
        return Data(
            items=items, labels=np.zeros(0, np.int64), classes=self.named.classes,
            splits={split: np.zeros(0, np.int64) for split in SPLITS},
            fingerprint=f"typed-{hashlib.sha256(said).hexdigest()}", source=self.source,
            described=self.named.described,
        )  # fmt: skip
