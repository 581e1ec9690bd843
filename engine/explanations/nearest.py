"""Which training items look the same to the model?"""

from __future__ import annotations

from typing import Annotated, Any

from torch.nn import functional as F  # noqa: N812, its usual name

from engine import look
from engine.catalog import Help, Range
from engine.explanations import Explanation
from engine.explanations.subject import Subject
from engine.explanations.training import features, known
from engine.features import quickest
from engine.models import Headed


class NearestItems(
    Explanation, label="It looks like these", fits={"features"},
    needs={"whole items"}, rank=50,
):  # fmt: skip
    """The training items whose features are the most like this one's, as the model sees them.

    By the cosine of the features under its head. The first time all training items are looked at;
    their features are kept for the next.
    """

    def __init__(
        self, *, count: Annotated[int, Range(1, 48), Help("Items that are shown")] = 12
    ) -> None:
        self.count = count

    @classmethod
    def suits(cls, subject: Subject) -> bool:
        return isinstance(subject.model, Headed) and hasattr(subject.model, "embed")

    def of(self, subject: Subject) -> dict[str, Any]:
        model = subject.model
        assert isinstance(model, Headed)
        found = known(subject)
        numerics = quickest(model, model.device)
        own = features(model, subject.batch.inputs, numerics)
        cosines = F.normalize(found.features, dim=1) @ F.normalize(own, dim=1)[0]
        best = cosines.topk(min(self.count, len(cosines)))
        shown = []
        for place, cosine in zip(best.indices.tolist(), best.values.tolist(), strict=True):
            row = int(found.rows[place])
            item = look.item(found.raw, row, None)
            name = found.names[row] if row < len(found.names) else item["name"]
            shown.append(item | {"name": name, "cosine": round(cosine, 4)})
        return {"neighbours": {
            "kind": found.raw.items.kind, "items": shown, "looked_through": len(found.rows),
            "whole": found.whole,
        }}  # fmt: skip
