"""Every string that the pages show, by key; ``{name}`` marks what is filled in.

The scripts get the same strings from ``text.js``, and what `gui.chinese` makes of them from
``chinese.js``.
"""

from __future__ import annotations

STRINGS: dict[str, str] = {
    "app": "Anneal",
    "offline": (
        "Anneal doesn't answer. If it was closed, start it again; the page goes on by itself."
    ),
    "server.failed": "Anneal could not do that. Its log in the terminal says why.",
    "server.no_text": (
        "That holds half of a character, which no text can: type it again, or leave it out."
    ),
    "server.malformed": "The page sent something that this version doesn't know: reload it.",
    "server.busy": "That took too long. Try again; if it goes on, look at Anneal's log.",
    "copied": "Copied",
    "copy.failed": "Could not copy",
    "readonly": (
        "Another Anneal already serves this folder, so this one only shows it. "
        "Use the other one to change something."
    ),
    "unit.bytes": "{count} bytes",
    "unit.instant": "< 0.1 s",
    "unit.seconds": "{count} s",
    "unit.minutes": "{minutes} min {seconds} s",
    "unit.hours": "{hours} h {minutes} min",
    # the frame
    "nav.main": "Main",
    "nav.menu": "Menu",
    "nav.skip": "Skip to the page",
    "nav.train": "Train",
    "nav.few": "Few examples",
    "nav.run": "Run",
    "nav.runs": "Runs",
    "nav.compare": "Compare",
    "nav.starts": "Pretraining",
    "nav.search": "Search",
    "nav.datasets": "Datasets",
    "nav.predict": "Predict",
    "nav.local": "local · nothing leaves this machine",
    "nav.network": "served at {host}",
    "nav.readonly": "read-only",
    "nav.version": "version {version}",
    "nav.theme": "Light / dark",
    "nav.language": "Language",
    "nav.keys": "Shortcuts",
    "nav.tour": "Show me around",
    "nav.no_device": "no device found",
    # on every page
    "shortcuts.title": "Keyboard shortcuts",
    "shortcuts.begin": "Begin what the form says",
    "shortcuts.pause": "Pause the run, or go on with it",
    "shortcuts.search": "Search",
    "shortcuts.list": "This list",
    "shortcuts.help": "They rest while you type in a field; Ctrl Enter works there too.",
    "shortcuts.close": "Close",
    "notify.off": "Notify me",
    "notify.on": "Notifications on",
    "notify.help": "A notification of the system when a long run ends, while Anneal is open",
    "notify.denied": "The browser blocks notifications of this page: allow them beside its address",
    "ended.finished": "{name} has finished.",
    "ended.failed": "{name} has failed.",
    "ended.interrupted": "{name} was interrupted.",
    "ended.open": "Open",
    "tour.step": "First run, step {number} of {count}",
    "tour.skip": "Skip the tour",
    "tour.back": "Back",
    "tour.next": "Next",
    "tour.done": "Done",
    "tour.0.title": "Choose what to learn",
    "tour.0.words": (
        "A task, data, a model and how to train it. A choice that goes together is made already: "
        "keep it for a first try, or take another; what doesn’t fit is marked and says why."
    ),
    "tour.1.title": "Press Train",
    "tour.1.words": (
        "The estimate comes from a few real steps, timed on this computer. Everything else can "
        "stay as it is."
    ),
    "tour.2.title": "Watch it learn",
    "tour.2.words": (
        "The loss falls while it learns. The validation curve is of items that it never trains on: "
        "when that one rises again, it has begun to learn by heart. You can close this page, the "
        "training goes on."
    ),
    "tour.3.title": "Try it",
    "tour.3.words": (
        "“Try it” opens the model, also while it still trains, as soon as its first weights are "
        "kept. How good it is on data kept aside stands in the results when it has finished."
    ),
    "tour.4.title": "Try it",
    "tour.4.words": (
        "Give it something of your own, or an item of the data, and see what it makes of it. This "
        "model is yours: it lies in your Anneal folder."
    ),
    # the form
    "form.task": "Task",
    "form.data": "Data",
    "form.model": "Model",
    "form.method": "Method",
    "form.gone": "This choice is no longer here, or doesn't go with the others: choose again.",
    "form.automatic": "Automatic",
    "form.published": "Published weights, trained by others",
    "form.imported": "Imported",
    "form.items": "{count} items",
    "form.classes": "{count} classes",
    "form.no_match": "Nothing here goes with {choices}",
    "form.nothing": "Nothing can be trained: no task, data and model here go together",
    "form.run_name": "{model} · {data}",
    "form.bad_seed": "Seed must be a whole number from 0 to 2,147,483,647",
    "form.lost": "Run {run} used {names}, which is no longer here: choose something else for it.",
    "form.no_card": "Nothing here is called {name}, so something else is chosen.",
    "form.no_dataset": "The dataset {id} is no longer here, or its import hasn't finished.",
    "form.renewed": "{name} was version {then} in that run. Today's version {now} is chosen here.",
    "form.set": "{label} is set to {value}.",
    "form.not_set": "{setting} is no setting of what is chosen here, so it was left out.",
    "form.stops": "{count} findings about this dataset will stop the training.",
    "form.stops.one": "A finding about this dataset will stop the training.",
    "form.harms": "{count} findings about this dataset may harm the result.",
    "form.harms.one": "A finding about this dataset may harm the result.",
    "form.adopted": "The model's settings are now those of run {run}, so that its weights fit.",
    # Train
    "train.title": "New run",
    "train.lead": "Choose what to learn, from which data, with which model.",
    "train.others": "{count} that don't go with what is chosen above",
    "train.others.switch": "{count} for other tasks",
    "train.switches": "Choosing it changes the task to {task}.",
    "train.recipe": "Recipe",
    "train.recipe.starter": "Starter",
    "train.recipe.thorough": "Thorough",
    "train.recipe.starter.help": (
        "Shows something worth seeing in a few minutes, also on a small computer."
    ),
    "train.recipe.thorough.help": "Aims at the best result: give it a GPU, and time.",
    "train.advanced": "Advanced",
    "train.changed": "{count} changed",
    "train.augmentation": "Augmentation",
    "train.augmentation.help": (
        "Training items are varied anew each time they are seen. Validation and test stay as they "
        "are."
    ),
    "train.augmentation.more": "More ways",
    "train.preview": "What it does",
    "train.preview.again": "Draw again",
    "train.preview.before": "As it is",
    "train.preview.drawn": "In training",
    "train.preview.item": "{label}, as it is",
    "train.preview.draw": "{label}, as it may be seen in training ({number})",
    "train.preview.share": "{name} {percent} %",
    "train.preview.none": "There is nothing to vary for this task and method.",
    "train.preview.mirror": (
        "Mirrored, many of these pictures become others: of {plain} % the nearest picture is of "
        "the same class, of their mirror images of {mirrored} % only. Switch Random mirror off."
    ),
    "find.rate": "Find a learning rate",
    "find.rate.help": (
        "A short training in which the rate rises from {low} to {high} until the loss does "
        "(Smith's range test). Nothing of it is kept."
    ),
    "find.rate.suggestion": (
        "{value}: where the smoothed loss falls fastest. It is lowest at {lowest}."
    ),
    "find.rate.none": (
        "The loss falls at no rate within these few steps: look at the data and the other "
        "settings, or keep the rate that is set."
    ),
    "find.rate.axis": "learning rate (logarithmic)",
    "find.rate.loss": "loss",
    "find.rate.smoothed": "smoothed",
    "find.rate.set": "now set",
    "find.rate.progress": "Step {done} of at most {total}",
    "find.batch_size": "Find a batch size",
    "find.batch_size.help": (
        "A few steps with ever doubled batches, and none that memory would not hold. "
        "Nothing of it is kept."
    ),
    "find.batch_size.suggestion": (
        "{value}: the smallest batch within 5 % of the best speed. Larger ones gain nothing here."
    ),
    "find.batch_size.size": "Items a batch",
    "find.batch_size.rate": "Items/s",
    "find.batch_size.step": "A step takes",
    "find.batch_size.memory": "Memory",
    "find.batch_size.progress": "Size {done} of at most {total}",
    "find.batch_size.why.memory": "It stopped before the memory ran out ({limit} can be used).",
    "find.batch_size.why.data": "One batch holds the whole training split by now.",
    "find.batch_size.why.time": "It stopped because a step takes too long.",
    "find.batch_size.why.slower": "It stopped because larger batches are no faster.",
    "find.batch_size.why.range": "It stopped at the largest batch that can be set.",
    "find.opening": "Preparing the data …",
    "find.stop": "Cancel",
    "find.close": "Close",
    "find.again": "Again",
    "find.use": "Use {value}",
    "train.start": "Starting weights",
    "train.start.help": (
        "Weights of an earlier run of the same kind of model. What fits is taken over; a head for "
        "other classes is made anew."
    ),
    "train.scratch": "From scratch",
    "train.path": "A file on this computer …",
    "train.path.label": "A safetensors file, or a folder of them",
    "train.scratch.only": "No earlier run of this model has a checkpoint yet.",
    "train.run": "This run",
    "train.name": "Name",
    "train.device": "Device",
    "train.labels": "Labels used",
    "train.labels.help": (
        "Learns from a part of the training split: a share of each class like 3%, or so many items "
        "of each like 5."
    ),
    "train.labels.all": "all",
    "train.seed": "Seed",
    "train.seed.help": "Repeats a run; to the last bit with Deterministic or fixed threads.",
    "train.estimate": "Estimate",
    "train.estimate.busy": "Timing a few real steps …",
    "train.parameters": "Parameters",
    "train.trainable": "{count} of them trained",
    "train.memory": "Memory",
    "train.time": "Time",
    "train.epoch": "{time} per epoch",
    "train.on": "on {device}, {precision}",
    "train.go": "Train",
    "train.going": "Starting …",
    "train.queue.none": "Starts at once.",
    "train.queue.one": "1 run before this one.",
    "train.queue.many": "{count} runs before this one.",
    "train.command": "Copy as command",
    "train.command.line": "Command",
    "train.command.recipe": "Recipe",
    "train.copy": "Copy",
    "train.reset": "Back to the suggestion: {value}",
    "train.cloned": "Everything is set as it was in run {run}.",
    "train.findings": "See the check-up",
    "train.fix": "Something on the form needs a change first.",
    # What every comparison of runs says
    "comparison.progress": "{done} of {total} runs",
    "comparison.runs": "Runs",
    "comparison.runs.done": "{done} of {total} have finished",
    "comparison.runs.seed": "seed {seed}",
    "comparison.runs.missing": "not queued",
    "comparison.runs.list": "Open as a list",
    "comparison.command": "The command that repeats it",
    "comparison.resume": "Go on",
    "comparison.stop": "Stop",
    "comparison.delete": "Delete",
    "comparison.delete.words": "Its {count} runs go with it, their curves and weights too.",
    "comparison.state.queued": "queued",
    "comparison.state.running": "running",
    "comparison.state.finished": "finished",
    "comparison.state.stopped": "not finished",
    "comparison.stopped.help": "It isn't complete. “Go on” queues what is missing or failed.",
    "comparison.other": "Comparison {id} is one of another kind.",
    "comparison.failed": "Run {run} failed: {reason}",
    "comparison.said.more": "The seeds that are still to come may change this.",
    "comparison.bad_number": "This is a whole number above zero",
    # Does pretraining help?
    "search.title": "Search for settings",
    "search.lead": (
        "Tick what to search, and where. Each trial is a run of its own; the next ones are chosen "
        "by what the earlier ones reached on the validation split."
    ),
    "search.all": "All searches",
    "search.gone": "This search is no longer here.",
    "search.kept": "Searches",
    "search.kept.none": "None yet: the first one appears here.",
    "search.progress": "{done} of {total} trials",
    "search.what": "What to learn",
    "search.fixed": "Settings that stay as they are",
    "search.space": "What is searched",
    "search.space.help": (
        "The first trial is the recipe as it is, where it lies within what is searched."
    ),
    "search.space.more": "Advanced",
    "search.low": "From",
    "search.high": "To",
    "search.log": "by its logarithm",
    "search.how": "How",
    "search.trials": "Trials",
    "search.trials.help": "Runs in all; those that are given up early count too.",
    "search.metric": "By",
    "search.metric.help": "The best value that a trial reaches on the validation split.",
    "search.pruner": "Give up early",
    "search.pruner.help": (
        "Stops a trial whose validation is hopeless; its best weights so far are kept."
    ),
    "search.pruner.median": "Worse than the median at that point",
    "search.pruner.halving": "Only the best third goes on (ASHA)",
    "search.pruner.none": "Never",
    "search.at_once": "At the same time",
    "search.at_once.help": (
        "Trials under way together. They take turns where there are fewer devices."
    ),
    "search.at_once.auto": "one a device",
    "search.sampler_seed": "Seed",
    "search.sampler_seed.help": "Of what is tried; the runs' own seed stays the recipe's.",
    "search.name": "Name",
    "search.plan": "The plan",
    "search.plan.settings": "Settings",
    "search.plan.trials": "Trials",
    "search.plan.at_once": "At once",
    "search.go": "Search",
    "search.going": "Starting …",
    "search.bad_number": "This is a whole number",
    "search.state.queued": "starting",
    "search.state.running": "running",
    "search.state.finished": "finished",
    "search.state.stopped": "not finished",
    "search.stopped.help": "It isn't complete. “Go on” takes it up where it was.",
    "search.failed": "Trial {trial} (run {run}) failed: {reason}",
    "search.pause": "Pause",
    "search.resume": "Go on",
    "search.stop": "Cancel",
    "search.stop.title": "Cancel this search?",
    "search.stop.words": "The trials under way are thrown away; the finished ones stay.",
    "search.delete": "Delete",
    "search.delete.title": "Delete this search?",
    "search.delete.words": "Its {count} runs go with it, their curves and weights too.",
    "search.best": "Best so far: {value}, by trial {number}",
    "search.best.last": "Best: {value}, by trial {number}",
    "search.best.none": "The first value appears when a trial has measured its validation split.",
    "search.best.train": "Train with the best",
    "search.best.run": "Open its run",
    "search.over": "{done} of {total} trials are over: {complete} whole, {pruned} given up "
    "early, {failed} failed",
    "search.values": "{measure} over trials",
    "search.values.axis": "trial",
    "search.values.best": "best so far",
    "search.parallel": "Settings and what they reached",
    "search.parallel.help": (
        "A line is a trial, from its settings to its value: the stronger the colour, the better. "
        "Dotted ones were given up early."
    ),
    "search.importance": "What mattered",
    "search.importance.help": (
        "How much each setting decides whether a trial is among the best quarter (PED-ANOVA), of "
        "100 % in all. A few trials tell it only roughly."
    ),
    "search.importance.wait": "Known once 6 trials have gone through.",
    "search.table": "Trials",
    "search.table.trial": "Trial",
    "search.table.state": "State",
    "search.table.time": "Took",
    "search.trial.waiting": "waiting",
    "search.trial.running": "running",
    "search.trial.complete": "whole",
    "search.trial.pruned": "given up",
    "search.trial.failed": "failed",
    "search.csv": "CSV",
    "starts.title": "Does pretraining help?",
    "starts.lead": (
        "The same model from two or more starts, each with few and with many labels: what does it "
        "save to begin from weights that have learned something?"
    ),
    "starts.all": "All comparisons",
    "starts.gone": "This comparison is no longer here.",
    "starts.kept": "Comparisons",
    "starts.kept.none": "None yet: the first one appears here.",
    "starts.what": "What to learn",
    "starts.settings": "Settings",
    "starts.starts": "Starts",
    "starts.starts.help": (
        "Two or more. The first in this order is what the others are compared with."
    ),
    "starts.scratch": "From scratch",
    "starts.scratch.short": "scratch",
    "starts.run": "Run {run} · {name}",
    "starts.run.short": "run {run}",
    "starts.published": "Published weights",
    "starts.file": "A file on this computer",
    "starts.file.help": "A safetensors file, or a folder of them.",
    "starts.none": (
        "No run of this model has kept weights yet. Pretrain one first, name a file, or choose a "
        "model that comes with weights of its own, such as EfficientNet-Lite0."
    ),
    "starts.how": "Labels and budget",
    "starts.amounts": "Labels",
    "starts.amounts.help": "Shares of the training labels like 3%, or items a class like 5.",
    "starts.seeds": "Seeds",
    "starts.seeds.help": (
        "Each is trained so often, with other labels each time: the error bands come from it."
    ),
    "starts.adapt": "From weights, train by",
    "starts.adapt.help": "Scratch always trains all weights.",
    "starts.adapt.same": "The same way as scratch",
    "starts.steps": "Budget",
    "starts.steps.help": "Steps of the optimizer in each run, however few its labels.",
    "starts.steps.auto": "what all labels take",
    "starts.name": "Name",
    "starts.plan": "The plan",
    "starts.plan.runs": "Runs",
    "starts.plan.grid": "{starts} starts × {amounts} amounts × {seeds} seeds",
    "starts.plan.steps": "Steps each",
    "starts.plan.labels": "Training items",
    "starts.plan.time": "Time, about",
    "starts.go": "Compare",
    "starts.going": "Counting the labels …",
    "starts.fair": (
        "Every run has the same budget of steps and about {looks} looks at the validation split; "
        "the best of them is tested. All of the validation split chooses it, however few labels "
        "are trained on, for every start alike. The same seed has the same labels from every start."
    ),
    "starts.knows": (
        "Run {run} was trained with labels of this very data: what it knows came from them, so it "
        "can't show that fewer are needed."
    ),
    "starts.knows.line": (
        "Run {run} comes from run {ancestor}, which was trained with labels of this very data: "
        "what it knows came from them, so it can't show that fewer are needed."
    ),
    "starts.partial": (
        "Of {start}, only a part fits this model: below the head, {new} tensors were made anew, "
        "{loaded} taken over. It is the mixture that is compared here."
    ),
    "starts.figure": "{measure} over labels",
    "starts.figure.axis": "training items (logarithmic)",
    "starts.figure.help": "Bands: 95 % interval of the mean over seeds, by Student's t.",
    "starts.figure.wait": "The first point appears when the first run has finished.",
    "starts.figure.save": "Save as SVG",
    "starts.csv": "CSV",
    "starts.found": "What it says",
    "starts.saved": "Labels saved at equal {measure}",
    "starts.saved.start": "Start",
    "starts.saved.with": "With",
    "starts.saved.reaches": "Reaches",
    "starts.saved.better": "Better by",
    "starts.saved.needs": "{first} needs",
    "starts.saved.times": "Labels saved",
    "starts.saved.more": "more than all {most}",
    "starts.saved.fewest": "at most {needed}",
    "starts.saved.over": "over {times}×",
    "starts.saved.about": "{times}×",
    "starts.saved.upto": "at most {times}×",
    "starts.saved.sure": "more than the error",
    "starts.saved.unsure": "within the error",
    "starts.saved.unknown": "one seed",
    "starts.saved.worse": "worse by more than the error",
    "starts.saved.help": (
        "Read off {first}'s curve over the logarithm of the labels, where it first gets there."
    ),
    "starts.time": "Time",
    "starts.time.run": "A run, on the mean",
    "starts.time.all": "All its runs",
    "starts.time.before": "Its own training, once",
    "starts.delete.title": "Delete this comparison?",
    "starts.said.labels": "{items} labels ({amount})",
    "starts.said.each": "{amount} labels a class ({items} in all)",
    "starts.said.each_one": "1 label a class ({items} in all)",
    "starts.said.score": "{mean} ± {half}",
    "starts.said.with": "With {labels}, {start} reaches {score}, {first} {base}.",
    "starts.said.needs": "For the same, {first} needs about {times} times as many labels.",
    "starts.said.never": "{first} doesn't get there with all {most}.",
    "starts.said.until": (
        "From {labels} on, the difference is within the error of {seeds} seeds: there it doesn't "
        "pay."
    ),
    "starts.said.still": "It is still better with the most labels tried, {labels}.",
    "starts.said.nowhere": (
        "At no amount of labels is {start} better than {first} by more than the error of {seeds} "
        "seeds: here it doesn't pay."
    ),
    "starts.said.worse": "With {labels} it is worse: {score} against {base}.",
    "starts.said.one_seed": "One seed can't tell a difference from chance: take two or more.",
    # Does the augmentation help?
    "nav.ablation": "Ablation",
    "ablation.title": "Does the augmentation help?",
    "ablation.lead": (
        "The same run with and without its augmentation, at the same budget and with the same "
        "seeds."
    ),
    "ablation.button": "Ablation: with and without …",
    "ablation.button.help": "Train with and without this augmentation, and see what it is worth",
    "ablation.dialog": "Train with and without augmentation",
    "ablation.out": "Left out",
    "ablation.seeds": "Seeds",
    "ablation.seeds.help": (
        "Each is trained so often: one seed can't tell a difference from chance."
    ),
    "ablation.each": "Also leave out each by itself, to see which of them helps",
    "ablation.runs": "{count} runs of equal length, queued one behind the other",
    "ablation.runs.time": "about {time} on {device}",
    "ablation.question": "The run as it is set, and the same without:",
    "ablation.begin": "Train",
    "ablation.go": "Train {count} runs",
    "ablation.cancel": "Cancel",
    "ablation.gone": "This ablation is no longer here.",
    "ablation.all": "All ablations",
    "ablation.none": "None yet",
    "ablation.none.why": (
        "Choose some augmentation on Train, then “Ablation” below it; or press it on the "
        "page of a run that had some."
    ),
    "ablation.with": "with augmentation",
    "ablation.without": "without augmentation",
    "ablation.less": "without {name}",
    "ablation.points": "{points} points",
    "ablation.said.helps": (
        "The augmentation helps: {score} with it, {base} without, a difference of {better} over "
        "{seeds} seeds. That is more than chance."
    ),
    "ablation.said.harms": (
        "The augmentation harms: {score} with it, {base} without, a difference of {better} over "
        "{seeds} seeds. That is more than chance."
    ),
    "ablation.said.unsure": (
        "The difference may be chance: {score} with the augmentation, {base} without, {better} "
        "over {seeds} seeds."
    ),
    "ablation.said.single": (
        "With one seed a difference can't be told from chance: {score} with the augmentation, "
        "{base} without, {better}."
    ),
    "ablation.said.one.helps": "{name} helps: with it, all together differ by {better}.",
    "ablation.said.one.harms": "{name} harms: with it, all together differ by {better}.",
    "ablation.said.one.unsure": "What {name} adds may be chance: {better}.",
    "ablation.said.one.single": "{name} adds {better}, by one seed.",
    "ablation.figure": "{measure} by seed",
    "ablation.figure.help": (
        "A line joins runs of the same seed; bars are the mean ± standard deviation."
    ),
    "ablation.figure.mean": "mean",
    "ablation.arm": "Trained",
    "ablation.score": "Mean ± standard deviation",
    "ablation.better": "Better with all",
    "ablation.interval": "95 % interval",
    "ablation.time": "A run, on the mean",
    "ablation.fair": (
        "All runs make the same number of steps and keep their best look at the validation split; "
        "none ends early. Differences are taken between runs of the same seed, and count as more "
        "than chance where the 95 % interval of their mean by Student’s t leaves out zero."
    ),
    "ablation.delete.title": "Delete this ablation?",
    # more items, made by models
    "data.extend": "Make more of it",
    "data.extend.draw": "Add pictures that a model has drawn",
    "data.extend.translate": "Add texts, translated there and back",
    "data.extend.help": (
        "A new dataset of these items and of what is made. What is made only ever trains: it is "
        "marked, and never put into validation or test. This dataset stays as it is; to undo it, "
        "remove the new one. Whether it helps, only a training on each can say."
    ),
    "data.extend.run": "Drawn by",
    "data.extend.count": "How many",
    "data.extend.labelled_by": "Labelled by",
    "data.extend.labelled_by.help": (
        "What is drawn has no class by itself: a classifier gives it one, right or wrong, and only "
        "where it is sure is it taken."
    ),
    "data.extend.sure": "At least so sure",
    "data.extend.there": "Translated by",
    "data.extend.back": "And back by",
    "data.extend.go": "Make it",
    "data.extend.none.draw": (
        "No run draws like this dataset yet: train a variational autoencoder or a DCGAN on it."
    ),
    "data.extend.none.translate": (
        "No run translates yet: train one from this language into another, and one back."
    ),
    "data.extend.none.label": (
        "No run tells its classes apart yet, and what is drawn has none by itself: train a "
        "classifier on it."
    ),
    "data.extend.begun": "It is being made: it appears in the list.",
    "data.extend.drawn": "drawn",
    "data.extend.translated": "translated",
    "viewer.synthetic": "synthetic",
    # Few examples
    "few.title": "From few examples",
    "few.lead": (
        "A working model in a minute: nothing is trained, a model that has learned before sees."
    ),
    "few.way.names": "From names only",
    "few.way.examples": "From a few examples",
    "few.what": "What to tell apart",
    "few.item.text": "Texts",
    "few.item.image": "Pictures",
    "few.item.audio": "Sounds",
    "few.what.names.text": "No example is needed: the model knows what the names mean.",
    "few.what.names.image": (
        "No example is needed: the model knows what things of these names look like."
    ),
    "few.what.examples.text": "One text of each class is enough to begin with; five are better.",
    "few.what.examples.image": (
        "One picture of each class is enough to begin with; five are better."
    ),
    "few.what.examples.audio": "One sound of each class is enough to begin with; five are better.",
    "few.classes": "Classes",
    "few.classes.help": (
        "Two or more. A sentence that says what a class is makes much of the result; several are "
        "separated by “|”. A list can be pasted, one class a line: “name: sentence”."
    ),
    "few.classes.fixed": (
        "The dataset's own. A sentence that says what a class is makes much of the result."
    ),
    "few.said": "What it is, in a sentence (optional)",
    "few.said.hint.text": "news about games and athletes",
    "few.said.hint.image": "a photo of a small animal that purrs",
    "few.class.hint.0.text": "sports",
    "few.class.hint.1.text": "politics",
    "few.class.hint.2.text": "cooking",
    "few.class.hint.0.image": "cat",
    "few.class.hint.1.image": "car",
    "few.class.hint.2.image": "tree",
    "few.example": "Fill in an example",
    "few.example.text": (
        "sports: news about games, matches and athletes\n"
        "politics: news about parliaments, elections and laws\n"
        "cooking: recipes, meals and how to cook them"
    ),
    "few.example.image": "cat\ncar\ntree",
    "few.class.two": "Name two classes or more.",
    "few.class.twice": "“{name}” is named once more: give each class another name.",
    "few.class.nameless": "This sentence describes a class without a name: name it, or remove it.",
    "few.class.colon": "A name can't hold a “:”: choose another, and describe it beside.",
    "few.class.long": (
        "A name has at most {most} characters: shorten it, and describe the class beside."
    ),
    "few.class.said.long": "That is longer than {most} characters: a sentence or a few are enough.",
    "few.class.most": "There can be at most {most} classes: remove some.",
    "few.measure": "Measure it",
    "few.measure.help": (
        "On a labelled dataset: its classes are told apart by their names, and its test items say "
        "how well."
    ),
    "few.measure.none": "Not now: only these names",
    "few.examples": "Examples",
    "few.given.here": "Give them here",
    "few.given.data": "From a dataset",
    "few.pick.none": "Choose a dataset",
    "few.data.help": "Its test items then say how good the model is.",
    "few.each": "Examples of each class",
    "few.each.help": "Picked at random from the training items, for example 1 or 5.",
    "few.no_data": "Choose the dataset that the examples are picked from.",
    "few.sees.text": "What reads them",
    "few.sees.image": "What sees them",
    "few.sees.audio": "What hears them",
    "few.fetched": "{label}: fetched once",
    "few.run": "Run {id}: {name} ({model})",
    "few.none.names.text": "Nothing here knows what names mean in texts.",
    "few.none.names.image": "Nothing here knows what things of a name look like.",
    "few.none.names.audio": "Nothing here knows what things of a name sound like: give examples.",
    "few.none.examples.text": (
        "Nothing here has learned to read yet: train a model that tells texts apart, and it can "
        "see examples here."
    ),
    "few.none.examples.image": (
        "Nothing here has learned to see yet: train a model that tells pictures apart, and it can "
        "see examples here."
    ),
    "few.none.examples.audio": (
        "Nothing here has learned to hear yet: train a model that tells sounds apart, and it can "
        "hear examples here."
    ),
    "few.no_eyes": "Run {run} doesn't tell things apart by what it sees: choose another.",
    "few.other": "Run {run} was trained: its settings are those of the Train page.",
    "few.model": "The model",
    "few.name.names": "{of}, by name",
    "few.name.examples": "{of}, by example",
    "few.go": "Make it",
    "few.sending": "Sending the examples …",
    "few.making": "Making it …",
    "few.files.text": "examples.csv",
    "few.files.image": "examples.zip",
    "few.files.audio": "examples.zip",
    "few.number": "NUMBER",
    # Datasets
    "datasets.title": "Datasets",
    "datasets.lead": "What there is to learn from: your own, ready samples, and built in.",
    "datasets.gone": "This dataset is no longer here.",
    "datasets.cancelled": "The upload was cancelled.",
    "datasets.changed_meanwhile": (
        "This dataset has a newer version, made in another window: reload the page and look again."
    ),
    "datasets.no_origin": (
        "That is no dataset that can be fetched: choose a sample, or name one of the hub as "
        "owner/name."
    ),
    "datasets.no_room": (
        "The file takes {size}, and there are {free} free on this disk: make room first."
    ),
    "datasets.empty_file": "The file is empty: choose another one.",
    "datasets.no_file": "Choose a file first.",
    "datasets.built_in": "Built in",
    "datasets.own": "Your own",
    "datasets.own.none": "Nothing yet: add files of your own, a sample, or record something.",
    "datasets.add": "Add a dataset",
    "datasets.way.files": "Files",
    "datasets.way.samples": "Samples and by name",
    "datasets.way.record": "Record",
    "datasets.drop": "Drop files or a folder here, or choose files",
    "datasets.name": "Name",
    "datasets.name.help": "Empty: the file's name.",
    "datasets.size": "Size of pictures",
    "datasets.size.help": (
        "Side in pixels. Pictures of another shape are scaled to cover the square and cut at the "
        "centre."
    ),
    "datasets.rate": "Samples a second",
    "datasets.rate.help": "Recordings are resampled to it.",
    "datasets.validation": "Validation share",
    "datasets.test": "Test share",
    "datasets.seed": "Split seed",
    "datasets.skip_broken": "Leave out what can't be read, and name it",
    "datasets.import": "Import",
    "datasets.cancel": "Cancel",
    "datasets.uploading": "Uploading: {done} of {total}",
    "datasets.starting": "Starting the import …",
    "datasets.arrived": "{name} is ready.",
    "datasets.importing": "Importing",
    "datasets.ready": "Ready",
    "datasets.failed": "Failed",
    "datasets.dismiss": "Dismiss",
    "datasets.retry.skip": "Leave them out and import again",
    "datasets.retry.again": "Try again",
    "datasets.retry.settings": "Change the settings",
    "datasets.retry.control": "What to change there: “{control}”",
    "datasets.more": "More",
    "datasets.less": "Less",
    "datasets.remove": "Remove",
    "datasets.remove.title": "Remove {name}?",
    "datasets.remove.words": (
        "Its files are deleted from Anneal's folder. Runs that were trained on it stay, and can "
        "no longer be repeated."
    ),
    "datasets.cancel.title": "Cancel this import?",
    "datasets.cancel.agree": "Cancel the import",
    "datasets.cancel.words": "What was imported of {name} so far is deleted.",
    "datasets.train": "Train on this",
    "datasets.opening": "Opening …",
    "datasets.kind": "Kind",
    "datasets.kind.images": "Pictures",
    "datasets.kind.text": "Texts",
    "datasets.kind.pairs": "Text pairs",
    "datasets.kind.sound": "Recordings",
    "datasets.kind.sequences": "Number sequences",
    "datasets.items": "Items",
    "datasets.left_out": "Left out",
    "datasets.shape": "Shape of an item",
    "datasets.shape.sequence": "any length × {features}",
    "datasets.shape.sound": "any length, {rate} samples a second",
    "datasets.classes": "Classes",
    "datasets.bytes": "On disk",
    "datasets.version": "Version",
    "datasets.source": "From",
    "datasets.origin": "Address",
    "datasets.licence": "Licence",
    "datasets.columns": "Columns that were read",
    "datasets.features": "Features",
    "datasets.created": "Brought in",
    "datasets.fingerprint": "Fingerprint",
    "datasets.splits": "Splits",
    "datasets.train_split": "Training",
    "datasets.validation_split": "Validation",
    "datasets.test_split": "Test",
    "datasets.balance": "Class balance",
    "datasets.samples": "Items",
    "datasets.characters": "Characters",
    "datasets.fits": "What it can be used for",
    "datasets.doctor": "Check-up",
    "datasets.versions": "Versions",
    "datasets.provenance": "Where it comes from",
    # Datasets: files on their way in
    "upload.gone": "This upload is no longer here: choose the files again.",
    "upload.coming": "A file of this upload is still coming in: wait for it, or cancel it.",
    "upload.twice": "There is a file named {name} already: give one of them another name.",
    "upload.too_large": (
        "That is more than {limit}, the most that one upload may hold. Bring it in with "
        "“python app.py data add”, or raise ANNEAL_LIMIT_UPLOAD_BYTES."
    ),
    "bring.accepted": (
        "Pictures, texts, text pairs, recordings or number sequences, in one file or several"
    ),
    "bring.folder": "Choose a folder",
    "bring.packing": "Packing {done} of {total}",
    "bring.pack.pictures": "pictures",
    "bring.pack.recordings": "recordings",
    "bring.nothing": "There are no files in it: choose another folder.",
    "bring.unreadable": (
        "The browser can't read one of these files: it was moved or changed, or it may not be "
        "read. Choose them again."
    ),
    "bring.not_yet": "Not a dataset yet: press “Import” below.",
    "bring.unseen": ("The import fetches it again. What is left as it is, it finds out by itself."),
    "bring.what": "What can be brought in",
    "bring.what.images": (
        "A folder, zip or tar with a folder for each class (also inside train, validation and "
        "test), or with a CSV or JSONL that names each file and its label; or only pictures"
    ),
    "bring.what.text": (
        "CSV, TSV, JSONL or Parquet with a text and perhaps a label; a zip of .txt files in class "
        "folders; one plain .txt"
    ),
    "bring.what.pairs": (
        "CSV, TSV, JSONL or Parquet with two columns; or two text files of as many lines"
    ),
    "bring.what.sound": (
        "A folder or zip of WAV, FLAC, OGG or MP3 in class folders, or with a CSV or JSONL that "
        "names each file and its label or transcript"
    ),
    "bring.what.sequences": (
        "A CSV with the columns sequence, step, features and label; one long series, a date and "
        "values or only numbers; an NPZ with x and y; a .ts file"
    ),
    "bring.looking": "Looking into it …",
    "bring.found": "What was found",
    "bring.columns": "Columns",
    "bring.split": "Split",
    "bring.rest": "Import",
    "bring.kind": "Kind",
    "bring.encoding": "Encoding",
    "bring.delimiter": "Between cells",
    "bring.delimiter.comma": "Comma",
    "bring.delimiter.tab": "Tab",
    "bring.delimiter.semicolon": "Semicolon",
    "bring.delimiter.bar": "Vertical bar",
    "bring.delimiter.space": "Space",
    "bring.by_itself": "Found by itself",
    "bring.no_column": "(none)",
    "bring.rows": "The first rows",
    "bring.items.unknown": "The items are counted by the import",
    "bring.failed": "It can't be read like this. Change what is wrong, or choose other files.",
    "bring.kind_first": "Choose the kind, then say here which column is what.",
    "bring.classes": "Classes",
    "bring.classes.outermost": "Outermost folders",
    "bring.classes.path": "Folders in folders",
    "bring.classes.help": "A class is a folder, or the whole path of folders to its files.",
    "bring.split.given": "As the file says",
    "bring.split.random": "At random",
    "bring.split.ordered": "Along time",
    "bring.split.none": "All to learn from",
    "bring.split.none.help": (
        "Nothing is held back to measure on: for learning at once from a few examples. It can be "
        "split later."
    ),
    "bring.split.ordered.help": "What comes last is held out: validation, then the test.",
    "bring.split.group": "By a column",
    "bring.group.help": "What has the same value there stays together.",
    "bring.more": "Add files",
    "bring.over": "Start over",
    # Datasets: samples, and by name
    "offers.install": "Install",
    "offers.install.name": "Install {label}",
    "offers.installing": "Installing …",
    "offers.installed": "Installed",
    "offers.open": "Open",
    "offers.homepage": "Homepage",
    "offers.size.unknown": "size unknown",
    "offers.hub": "By name, from the Hugging Face hub",
    "offers.hub.words": (
        "Anneal goes to the network for the samples and for these, and only when you click."
    ),
    "offers.name": "Dataset",
    "offers.name.help": "As on its page: owner/name.",
    "offers.name.wrong": "Write the dataset's name as its page has it: owner/name.",
    "offers.config": "Configuration",
    "offers.config.help": "Only where the dataset has several.",
    "offers.fetch": "Fetch and import",
    # Datasets: recorded on the page
    "capture.words": (
        "Make a small dataset from nothing: name two or more classes and record some of each."
    ),
    "capture.what": "What to record",
    "capture.what.choose": "Choose how you give the examples.",
    "capture.camera": "Camera",
    "capture.camera.name": "My pictures",
    "capture.camera.take": "Take",
    "capture.camera.start": "Start the camera",
    "capture.camera.help": "Click “Take” for one picture, hold it for many.",
    "capture.camera.denied": (
        "The browser may not use the camera: allow it beside the address, then try again."
    ),
    "capture.camera.none": "No camera was found: connect one, or record something else.",
    "capture.camera.failed": "The camera can't be used: perhaps another program has it.",
    "capture.drawings": "Drawings",
    "capture.drawings.name": "My drawings",
    "capture.drawings.take": "Add",
    "capture.drawings.help": "Draw, then click “Add” at the class it belongs to.",
    "capture.canvas": "Drawing area: draw with a mouse, a pen or a finger.",
    "capture.sounds": "Sounds",
    "capture.sounds.name": "My sounds",
    "capture.sounds.take": "Record",
    "capture.sounds.help": "Click “Record” and make the sound: each clip has the same length.",
    "capture.pictures": "Upload",
    "capture.pictures.name": "My pictures",
    "capture.pictures.take": "Choose files",
    "capture.pictures.help": "Choose pictures for each class, or drop them onto it.",
    "capture.recordings": "Upload",
    "capture.recordings.name": "My sounds",
    "capture.recordings.take": "Choose files",
    "capture.recordings.help": "Choose recordings for each class, or drop them onto it.",
    "capture.files.take": "Choose files",
    "capture.files.of": "Files for {name}",
    "capture.texts": "Type",
    "capture.texts.name": "My texts",
    "capture.texts.take": "Add",
    "capture.texts.help": "Write a text of a class, then press Enter or “Add”.",
    "capture.texts.hint": "An example",
    "capture.texts.of": "An example of {name}",
    "capture.microphone.start": "Start the microphone",
    "capture.microphone.denied": (
        "The browser may not use the microphone: allow it beside the address, then try again."
    ),
    "capture.microphone.none": "No microphone was found: connect one, or record something else.",
    "capture.microphone.failed": "The microphone can't be used: perhaps another program has it.",
    "capture.insecure": (
        "The browser gives camera and microphone only to pages of this machine or over https: "
        "open Anneal on the machine that it runs on."
    ),
    "capture.again": "Try again",
    "capture.seconds": "Length of a clip",
    "capture.seconds.of": "{count} s",
    "capture.recording": "Recording …",
    "capture.play": "Play the clip",
    "capture.wave": "Loudness of the clip",
    "capture.unplayable": "The browser can't play this clip.",
    "capture.class": "Class {number}",
    "capture.class.name": "Name of the class",
    "capture.class.remove": "Remove the class",
    "capture.item.remove": "Remove one of {name}",
    "capture.take.name": "Record for {name}",
    "capture.add": "Add a class",
    "capture.two": "A dataset to tell apart needs two classes or more.",
    "capture.one": "{name} has no example yet.",
    "capture.few": "{name} needs at least {count} items; more are better.",
    "capture.nameless": "Every class needs a name.",
    "capture.same_name": "Two classes have the same name.",
    "capture.enough": "{count} items.",
    "capture.most": "That is {count} items: import them first.",
    "capture.go": "Next: check and import",
    "capture.drop.title": "Record something else?",
    "capture.drop.words": "{count} recorded items are thrown away.",
    "capture.drop.agree": "Throw them away",
    # Datasets: the page of one
    "data.role.text": "Text",
    "data.role.source": "Source",
    "data.role.target": "Target",
    "data.role.label": "Label",
    "data.role.file": "File",
    "data.role.transcript": "Transcript",
    "data.role.sequence": "Sequence",
    "data.role.step": "Step",
    "data.role.split": "Split",
    "data.role.delimiter": "Delimiter",
    "data.role.encoding": "Encoding",
    "data.role.group": "Group",
    "data.changed": "{change}. This is version {version} now.",
    "data.undo": "Undo",
    "data.undone": "Undone: it is as it was before.",
    "data.old": "This is version {version}. The newest is version {today}.",
    "data.newest": "Show the newest",
    "data.restore": "Go back to this version",
    "data.version.look": "Look",
    "data.version.here": "shown here",
    "data.no_model": "No task here fits it.",
    "data.no_model.words": (
        "No task can learn from it as it is. Labels or transcripts may be what it lacks."
    ),
    "data.all_items": "All",
    "data.all_classes": "All {count} classes",
    "data.classes.edit": "Rename or merge classes",
    "data.classes.help": "Choose one class to rename it, or several to merge them.",
    "data.class.pick": "Choose the class {label}",
    "data.class.name": "New name",
    "data.rename": "Rename",
    "data.merge": "Merge",
    "data.split": "Split anew",
    "data.split.words": (
        "Everything that isn't left out is divided again. Results of runs before and after can't "
        "be compared."
    ),
    "data.split.how": "How to split",
    "data.split.column": "Column to group by",
    "data.split.choose": "Choose a column",
    "data.split.go": "Split",
    "data.median": "median {median}",
    "data.histogram": "{name}: from {low} to {high}",
    "data.histogram.width": "Width",
    "data.histogram.height": "Height",
    "data.histogram.steps": "Steps",
    "data.histogram.characters": "Characters of a text",
    "data.histogram.source": "Source length",
    "data.histogram.target": "Target length",
    "data.histogram.seconds": "Duration",
    "data.histogram.transcript": "Transcript length",
    "doctor.well": "Nothing was found that would harm a training.",
    "doctor.stops": "Stops training",
    "doctor.harms": "Harms",
    "doctor.notice": "Worth knowing",
    "doctor.items": "Show the {count} items",
    "doctor.items.one": "Show the item",
    "viewer.split": "Split",
    "viewer.all": "All",
    "viewer.left_out": "Left out",
    "viewer.class": "Class",
    "viewer.few": "Some training items of each class",
    "viewer.every_class": "Every class",
    "viewer.everything": "Show everything again",
    "viewer.finding": "{count} items of the check-up",
    "viewer.some": "{count} training items, some of each class",
    "viewer.enlarge": "Show {name} large",
    "viewer.enlarge.title": "Show it large (double click, or Enter)",
    "viewer.fact.name": "Name",
    "viewer.fact.label": "Label",
    "viewer.fact.split": "Split",
    "viewer.fact.row": "Row",
    "viewer.none": "There is nothing here.",
    "viewer.before": "Earlier items",
    "viewer.after": "Later items",
    "viewer.steps": "{count} steps",
    "viewer.apart": "{name}: each line is drawn over its own range",
    "viewer.range": "{name}: {low} to {high}",
    "viewer.play": "Play {name}",
    "viewer.wave": "Loudness of {name}",
    "viewer.spectrogram": "Frequencies of {name}",
    "viewer.choose": "Choose {name}: {label}, {split}",
    "viewer.chosen": "{count} chosen",
    "viewer.chosen.one": "1 chosen",
    "viewer.leave_out": "Leave out",
    "viewer.move": "Move to …",
    "viewer.relabel": "Relabel",
    "viewer.relabel.to": "New label",
    "viewer.clear": "Clear",
    # Predict
    "predict.title": "Predict",
    "predict.lead": "Try a model that was trained here, or that is training right now.",
    "predict.run": "Run",
    "predict.run.help": (
        "Finished runs and those that train now, as soon as they have a checkpoint."
    ),
    "predict.run.option": "{id} · {name} ({state})",
    "predict.checkpoint": "Best checkpoint: step {step}",
    "predict.at_once": "Made at once",
    "predict.open": "Open the run",
    "predict.none": "No run has a checkpoint yet",
    "predict.none.words": "Train a model first; it can be tried from its first checkpoint on.",
    "predict.none.go": "Train a model",
    "predict.gone": "Run {run} has no checkpoint, or is no longer here. This is another one.",
    "predict.input": "Input",
    "predict.draw": "Draw",
    "predict.upload": "Upload",
    "predict.camera": "Camera",
    "predict.own": "From the data",
    "predict.paste": "Paste",
    "predict.type": "Type",
    "predict.batch": "Batch",
    "predict.record": "Microphone",
    "predict.canvas": (
        "Drawing area: draw with a mouse, a pen or a finger. Uploading works with the keyboard."
    ),
    "predict.canvas.hint": "Draw here",
    "predict.undo": "Undo",
    "predict.clear": "Clear",
    "predict.drop": "Drop a picture here, or choose one",
    "predict.drop_text": "Drop a CSV file here, or choose one",
    "predict.not_a_picture": (
        "The browser can't read {name} as a picture: take a PNG, JPEG or WebP file."
    ),
    "predict.too_long": "{name} is larger than 5 MB: that is more than one sequence.",
    "predict.too_many": "That is more than {most} inputs: give fewer at once.",
    "predict.text.too_long": "That text is longer than {most} characters: give a part of it.",
    "predict.words": "Text",
    "predict.words.help": "Ctrl+Enter asks, too.",
    "predict.words.prompt": "The model writes on from here. Ctrl+Enter asks, too.",
    "predict.words.blanks": (
        "Write ___ (three underscores) where a word is to be filled in. Ctrl+Enter asks, too."
    ),
    "predict.words.hint": "Write something …",
    "predict.words.hint.blanks": "The sun ___ in the east.",
    "predict.drop_batch": "Drop a text file or a table here, or choose one",
    "predict.batch.from": "Texts from the column",
    "predict.batch.header": "The first line names the columns",
    "predict.batch.help": (
        "A text a line, or a column of texts in a table (CSV, TSV, JSONL, Parquet): up to {most} "
        "at once."
    ),
    "predict.batch.large": "{name} is larger than 5 MB: split it.",
    "predict.batch.empty": "There is no text in {name}.",
    "predict.batch.most": "{name} holds {count} texts: these are the first {most}.",
    "predict.batch.read": "{count} texts from {name}",
    "predict.batch.column": "{count} texts from the column “{column}” of {name}",
    "predict.batch.busy": "{done} of {total} answered …",
    "predict.batch.done": "{count} answered by the checkpoint of step {step}, epoch {epoch}",
    "predict.batch.failed": "{count} could not be answered; their lines say why.",
    "predict.batch.unread": "None of these files could be read.",
    "predict.batch.stopped": "Stopped after {done} of {total}",
    "predict.batch.text": "Text",
    "predict.batch.file": "File",
    "predict.batch.label": "Class",
    "predict.batch.probability": "Probability",
    "predict.batch.answer": "Answer",
    "predict.batch.squared_error": "Mean squared error",
    "predict.batch.cosine": "Cosine of two views",
    "predict.batch.error": "Problem",
    "predict.drop_files": "Drop files or a folder here, or choose files",
    "predict.batch.files": "{count} files",
    "predict.batch.files.most": "{count} files: these are the first {most}.",
    "predict.batch.files.help": (
        "Several files, or all of a folder: up to {most} at once. Each gets a line of a table, "
        "which can be saved as CSV."
    ),
    "predict.batch.no_files": "There is no file in that folder.",
    "predict.drop_sound": "Drop an audio file here, or choose one",
    "predict.sound.large": "{name} is larger than 16 MB: take a shorter recording.",
    "predict.record.go": "Record",
    "predict.record.stop": "Stop",
    "predict.record.help": "Up to {count} s. The answer comes when you stop.",
    "predict.record.now": "Recording: {time}",
    "predict.record.level": "Loudness",
    "predict.tries": "Settings",
    "predict.camera.start": "Start the camera",
    "predict.camera.take": "Take the picture",
    "predict.camera.again": "Take another",
    "predict.camera.refused": (
        "The browser has no camera, or may not use it: allow it in the address bar."
    ),
    "predict.text": "Sequence",
    "predict.text.help": (
        "One line a step, numbers separated by commas, semicolons, tabs or blanks. A first line "
        "with names is fine, and so are decimal commas."
    ),
    "predict.go": "Predict",
    "predict.own.help": "Some of what it was trained on: it should know these.",
    "predict.result": "Result",
    "predict.invent": "New ones",
    "predict.invent.go": "Draw new ones",
    "predict.waiting.seed": "Have new ones drawn, and they are here.",
    "predict.waiting.image": "Draw, upload or take a picture, and the answer is here.",
    "predict.waiting.sequence": "Paste or upload a sequence, and the answer is here.",
    "predict.waiting.text": "Write something, and the answer is here.",
    "predict.waiting.audio": "Record or upload a sound, and the answer is here.",
    "predict.writing": "Writing …",
    "predict.stop": "Stop",
    "predict.stopped": "Stopped.",
    "predict.cut": "The answer broke off: try again.",
    "predict.anew": "Write another",
    "predict.download": "Download as CSV",
    "predict.table": "Table, scrolls",
    "predict.tokens": "The {count} tokens that the model read",
    "predict.candidates": "Candidates",
    "predict.candidates.help": "Beside each its score: the logarithm of its probability, over a "
    "penalty for its length; the nearer to 0, the surer.",
    "predict.attention": "Attention",
    "predict.attention.help": (
        "A row for each token that was written: the stronger the colour, the more the model looked "
        "at that token of the source."
    ),
    "predict.blank": "Blank {number}",
    "predict.blank.none": "There was no blank in it: write ___ for each.",
    "predict.spectrogram": "Frequencies over time",
    "predict.play": "Play the recording",
    "predict.silence": "No word was heard.",
    "predict.value": "Value",
    "predict.feature": "Feature {number}",
    "predict.given": "Given",
    "predict.ahead": "Forecast",
    "predict.step": "Step",
    "predict.forecast": "Forecast of {count} steps after those that were given: {name}",
    "predict.forecast.axis": "Steps; 0 is the last one given",
    "predict.forecast.some": "The first {count} of {all} features are drawn; the table has all.",
    "predict.numbers": "Numbers",
    "predict.busy": "Computing …",
    "predict.stale": "This is the answer to an earlier input.",
    "predict.newer": "The run has a better checkpoint now.",
    "predict.again": "Predict again",
    "predict.of": "By the checkpoint of step {step}, epoch {epoch}",
    "predict.of.scaled": "over the temperature {temperature}",
    "predict.saw": "What the model saw",
    "predict.more": "All {count} classes",
    "predict.classes": "Classes by probability",
    "predict.original": "Input",
    "predict.corrupted": "Corrupted",
    "predict.drawn": "New pictures",
    "predict.drawn.one": "New picture {number}",
    "predict.masked": "Covered",
    "predict.reconstruction": "Reconstruction",
    "predict.difference": "Difference",
    "predict.view.1": "First view",
    "predict.view.2": "Second view",
    "predict.similarity": "Cosine of the two: {cosine} (1 is the same)",
    "predict.error": "Mean squared error: {error}",
    # Predict, Datasets: explanations
    "why": "Look into this answer",
    "why.help": (
        "What in it made the model answer so. An explanation is a hint, not a proof: the curve "
        "under it says whether it is better than chance."
    ),
    "why.how": "Explanation",
    "why.of": "Why",
    "why.against": "rather than",
    "why.against.none": "anything else",
    "why.option": "{name} · {value}",
    "why.settings": "Settings of the explanation",
    "why.busy": "Explaining …",
    "why.busy.share": "Explaining … {share} %",
    "why.stop": "Stop",
    "why.stopped": "Stopped.",
    "why.again": "Explain",
    "why.nothing": "Nothing can be said of what led to this answer.",
    "why.strength": "Strength",
    "why.picture": "Importance over what the model saw",
    "why.for": "speaks for {name}",
    "why.against.name": "speaks against it",
    "why.rather": "{name} rather than {other}",
    "why.words": "The text, its words coloured by importance",
    "why.word": "{word}: {value}",
    "why.tokens": "By token",
    "why.token": "Token",
    "why.importance": "Importance",
    "why.strip": "Importance over the steps, one row a feature",
    "why.strip.help": (
        "Time goes to the right. Under the lines is how much each step of each feature matters."
    ),
    "why.sum": (
        "All importance adds up to {sum}, the difference of this answer from that to nothing; "
        "{missing} of it is missing for want of steps."
    ),
    "why.layer": "Layer",
    "why.head": "Head",
    "why.head.all": "mean of all",
    "why.attended": "Rows look, columns are looked at; the darker, the more. A row adds up to 1.",
    "why.attended.title": "Attention",
    "why.seen": "Seen at {layer}, {map}",
    "why.maps": "Where each of the {count} filters answers",
    "why.maps.some": "Where the first {shown} of the {count} filters answer",
    "why.map": "Map {number}",
    "why.filters": "What each filter looks for; the middle grey is zero",
    "why.filter": "Filter {number}",
    "why.neighbours": "Of {count} training items, these look the most alike to the model",
    "why.neighbours.some": (
        "Of {count} training items, spread over all of them, these look the most alike to the model"
    ),
    "why.cosine": "{label} · cosine {cosine}",
    "why.walk.help": (
        "Each slider is a direction in which the training items differ, in standard deviations; "
        "the first ones matter the most."
    ),
    "why.walk.direction": "Direction {number}",
    "why.walk.share": "{share} % of all differences",
    "why.walk.drawn": "Drawn from the code",
    "why.walk.reset": "Reset",
    "why.walk.keep": "Keep as the other end",
    "why.walk.kept": "Kept. Now give another input, and go from it to this one.",
    "why.walk.way": "On the way to the kept one",
    "why.walk.forget": "Forget the other end",
    "why.sanity": "Is it better than chance?",
    "why.sanity.chart": (
        "The answer as more and more is taken away: the most important first, and in random orders"
    ),
    "why.sanity.probability": "Probability of the answer",
    "why.sanity.moved": "How far the answer moves",
    "why.sanity.removed": "taken away",
    "why.sanity.explained": "the most important first",
    "why.sanity.random": "at random, {draws} times",
    "why.sanity.better": (
        "Better than chance: with the most important parts taken away first, the answer falls "
        "faster than in each of {draws} random orders (mean {area} against {random})."
    ),
    "why.sanity.unsure": (
        "Not surely better than chance: the answer falls faster than in {beaten} of {draws} random "
        "orders only (mean {area} against {random})."
    ),
    "why.sanity.no": (
        "No better than chance here: in no random order of {draws} does the answer fall more "
        "slowly (mean {area} against {random}). Don't trust it."
    ),
    "why.sanity.better.moves": (
        "Better than chance: with the most important parts taken away first, the answer moves "
        "further than in each of {draws} random orders (mean {area} against {random})."
    ),
    "why.sanity.unsure.moves": (
        "Not surely better than chance: the answer moves further than in {beaten} of {draws} "
        "random orders only (mean {area} against {random})."
    ),
    "why.sanity.no.moves": (
        "No better than chance here: in no random order of {draws} does the answer move less "
        "(mean {area} against {random}). Don't trust it."
    ),
    "why.run": "Ask a run about it",
    "why.run.choose": "Choose a run …",
    "why.run.none": "No run here takes such items.",
    # What is measured
    "metric.macro_f1": "macro F1",
    "metric.top5_accuracy": "top-5 accuracy",
    "metric.masked_accuracy": "masked accuracy",
    "metric.contrastive_accuracy": "contrastive top-1",
    "metric.knn_accuracy": "kNN accuracy",
    "metric.probe_accuracy": "linear probe accuracy",
    "metric.bits_per_byte": "bits per byte",
    "metric.bleu": "BLEU",
    "metric.chrf": "chrF",
    "metric.rouge_1": "ROUGE-1",
    "metric.rouge_2": "ROUGE-2",
    "metric.rouge_l": "ROUGE-L",
    "metric.wer": "WER",
    "metric.cer": "CER",
    "metric.mae": "MAE",
    "metric.mse": "MSE",
    "metric.rmse": "RMSE",
    "metric.negative_elbo": "negative ELBO",
    "metric.kl": "KL divergence",
    "metric.bits_per_pixel": "bits per pixel",
    "metric.frechet": "Fréchet distance",
    "metric.real_accuracy": "real ones told",
    "metric.fake_accuracy": "drawn ones told",
    # Run, Runs and Compare
    "charts.failed": "The charts did not load",
    "ago.now": "just now",
    "ago.minutes": "{count} min ago",
    "ago.hours": "{count} h ago",
    "ago.yesterday": "yesterday",
    "ago.days": "{count} days ago",
    "dialog.keep": "Keep",
    "dialog.back": "Back",
    "dialog.close": "Close",
    "dismiss": "Dismiss",
    "state.queued": "Queued",
    "state.preparing": "Preparing",
    "state.running": "Running",
    "state.paused": "Paused",
    "state.finished": "Finished",
    "state.stopped": "Stopped",
    "state.failed": "Failed",
    "state.interrupted": "Interrupted",
    "wish.stop": "Stopping",
    "wish.cancel": "Cancelling",
    "wish.pause": "Pausing",
    "wish.save": "Saving",
    "curves.log": "Log scale",
    "curves.step": "Step",
    "curves.epoch": "Epoch",
    "curves.seconds": "Time",
    "split.both": "Both",
    "split.train": "Train",
    "split.validation": "Validation",
    "split.test": "Test",
    "curves.split": "Curves",
    "curves.smoothing": "Smoothing",
    "curves.axis": "Horizontal axis",
    "curves.lines": "{label}: lines",
    "curves.whole": "Whole curve",
    "curves.toggle": "Show or hide this line",
    "curves.along.second": "seconds",
    "curves.along.minute": "minutes",
    "curves.along.hour": "hours",
    "curves.along.step": "step",
    "curves.along.epoch": "epoch",
    "curves.measured": "(measured {value})",
    "samples.epoch_of": "Epoch of {name}",
    "samples.epoch": "Epoch {epoch}",
    "samples.where": "on the validation data",
    "samples.scatter": "Features in two dimensions",
    "samples.scatter.hint": "Click a point to see its item.",
    "samples.item": "item",
    "samples.wrong": "Wrong: ",
    "samples.table": "Table, scrolls",
    "confusion.counts": "Counts",
    "confusion.shares": "Row %",
    "confusion.numbers": "Numbers",
    "confusion.hint": "Point at a cell, or use the arrow keys.",
    "confusion.hint.open": (
        "Point at a cell, or use the arrow keys; a click or Enter shows its items."
    ),
    "confusion.corner": "predicted →\ntrue ↓",
    "confusion": "Confusion matrix",
    "confusion.map": "Confusion matrix of {count} classes; arrow keys read cells",
    "confusion.mistake": "{right} taken for {wrong}",
    "confusion.mistakes": "Most frequent mistakes",
    "confusion.none": "None: every item is right.",
    "confusion.right": "{right} recognised: {count} of {all} ({share})",
    "confusion.wrong": "{right} taken for {wrong}: {count} of {all} ({share})",
    "run.unnamed": "No run is named in this address.",
    "run.missing": "This run isn't here",
    "run.missing.why": "It may have been deleted.",
    "run.all": "All runs",
    "run.name": "Name of the run",
    "reconnecting": "Reconnecting…",
    "run.actions": "What to do with this run",
    "run.progress": "Progress",
    "run.fact.step": "Step",
    "run.fact.epoch": "Epoch",
    "run.fact.spent": "Trained for",
    "run.fact.left": "Remaining",
    "run.fact.rate": "Speed",
    "run.fact.learning": "Learning rate",
    "run.fact.memory": "Memory",
    "run.fact.device": "Device",
    "run.crumbs": "Breadcrumb",
    "run.rate": "{count} items/s",
    "run.on": "{model} on {data}",
    "run.created": "created {ago}",
    "run.from": "starting from",
    "run.clone": "Clone into form",
    "run.try": "Try it",
    "run.delete": "Delete…",
    "run.pause": "Pause",
    "run.pause.help": "Save and stop for now; go on at any time",
    "run.stop": "Stop and keep",
    "run.stop.help": "End here and keep what was learned",
    "run.save": "Save now",
    "run.save.help": "Write a checkpoint and go on",
    "run.cancel": "Cancel…",
    "queue.up": "Earlier",
    "queue.down": "Later",
    "queue.out": "Remove from the queue",
    "run.again": "Start again",
    "run.resume": "Resume",
    "run.unsaved": "Nothing was saved yet.",
    "run.saved": "The checkpoint of step {step} is kept.",
    "run.next": "Next in the queue: it starts as soon as the device is free.",
    "run.second": "1 run is ahead of it in the queue.",
    "run.ahead": "{count} runs are ahead of it in the queue.",
    "run.preparing": "Preparing: reading the data and timing the first steps.",
    "run.cancel.title": "Cancel this run?",
    "run.cancel.agree": "Cancel the run",
    "run.cancel.words": (
        "It ends now and nothing of what it learned is kept. To keep it, choose “Stop and keep”."
    ),
    "run.delete.title": "Delete “{name}”?",
    "delete": "Delete",
    "run.delete.words": (
        "Its curves, checkpoints and log are deleted from this computer. This can't be undone."
    ),
    "run.export": "Points:",
    "run.measures": "Measures",
    "run.loss": "Loss",
    "run.loss_curves": "Loss curves",
    "run.measure_curves": "Curves of the other measures",
    "run.curves.queued": "Curves appear here once the run starts.",
    "run.curves.soon": "The first step is on its way…",
    "run.curves.nothing": "Nothing had to be trained, so there is no curve.",
    "run.curves.none": "This run ended before its first step.",
    "run.curves.at_once": (
        "Nothing was trained: the model sees with the eyes it started with, and what tells the "
        "classes apart was computed at once. So there is no curve."
    ),
    "run.curves.at_once.head": "Made at once",
    "run.again.names": "Change the names",
    "run.again.examples": "Add examples",
    "run.curves.measures": "Accuracy and other measures appear after the first epoch.",
    "curves.measure": "Measure",
    "run.results": "Results",
    "run.results.none": "This run ended without final measures.",
    "run.results.soon": "Measured on the test data when the run ends.",
    "run.baselines": "For comparison, on the test data",
    "run.on_test": "on the test data",
    "run.signature": "{metric} as computed by",
    "run.settings": "Settings",
    "run.version": "Version of the dataset",
    "run.only_changed": "Only changed",
    "run.unchanged": "Everything is at its default.",
    "run.scratch": "From scratch",
    "lineage": "Lineage",
    "lineage.loaded": "{count} tensors taken over",
    "lineage.new": "{count} made anew",
    "lineage.left": "{count} left out",
    "lineage.more": "and {count} more",
    "run.default": "Default: {value}",
    "value.none": "–",
    "value.yes": "yes",
    "value.no": "no",
    "run.no_notices": "Nothing to report.",
    "run.notices": "Notices",
    "run.log.end": "End of the log",
    "run.log": "Log",
    "run.log.empty": "The log is empty.",
    # Smaller and faster
    "smaller": "Smaller and faster",
    "smaller.score": "Test score",
    "smaller.size": "On disk",
    "smaller.compressed": "Compressed",
    "smaller.one": "1 item, ms",
    "smaller.many": "32 items, ms",
    "smaller.rate": "Items/s",
    "smaller.original": "Original",
    "smaller.late": "(95 %: {time})",
    "smaller.zeros": "{share} % zeros",
    "smaller.note": (
        "Median time of an answer, and the time that 95 % of them stay below, measured in turns on "
        "{device} with threads: {threads}. Zeros make a compressed file smaller, not the answer "
        "faster."
    ),
    "smaller.invite": (
        "Not measured yet: “Measure” times the model and its smaller forms side by side on this "
        "machine."
    ),
    "smaller.measure": "Measure",
    "smaller.measuring": "Timing answers",
    "smaller.make": "Make it",
    "smaller.choose": "Choose settings",
    "smaller.queued": "Queued: it is tested as any run is.",
    "smaller.watch": "Watch it",
    # Run: take away
    "away.head": "Take away",
    "away.words": (
        "The model leaves in forms that other programs run. Each is made from the best weights, "
        "and compared with them on items of the data."
    ),
    "away.where": "The weights of step {step} lie here ({bytes}):",
    "away.where.copy": "Copy the path of the weights",
    "away.no_weights": "The run has kept no weights: train it again.",
    "away.opening": "Opening the model …",
    "away.make": "Make",
    "away.make.of": "Make {label}",
    "away.again": "Make again",
    "away.again.of": "Make {label} again",
    "away.stop": "Stop making {label}",
    "away.stop.words": "Stop",
    "away.download": "Download",
    "away.download.of": "Download {label}",
    "away.remove": "Delete {label}",
    "away.old": "of step {step}: the run has better weights by now",
    "away.cooler": "its probabilities are those of another temperature than the run has now",
    "away.check": "differs by at most {difference} on {items} {split} items",
    "away.check.random": "differs by at most {difference} on {items} items of chance",
    "away.copy": "Copy",
    "away.copy.code": "Copy the call",
    "away.calls": "Ask it from programs",
    "away.calls.words": (
        "This command serves the model on this computer, described by OpenAPI; the calls below "
        "then work as they are."
    ),
    "away.calls.language": "Language",
    "away.calls.curl": "curl",
    "away.calls.python": "Python",
    "away.calls.javascript": "JavaScript",
    # A run's items, one by one
    "closer": "Look closer",
    "closer.views": "What to look at",
    "closer.items.classes": "Items",
    "closer.items.texts": "Worst texts",
    "closer.items.tokens": "Worst passages",
    "closer.items.errors": "Worst items",
    "closer.sure.classes": "How sure",
    "closer.threshold.classes": "Thresholds",
    "closer.labels.classes": "Wrong labels?",
    "closer.invite.classes": (
        "Click a cell of the confusion matrix to see exactly those items, or choose above: the "
        "mistakes from the worst on, whether it is as sure as it is right, what a threshold costs, "
        "and which labels look wrong."
    ),
    "closer.invite.texts": "See each text beside its reference, the worst first.",
    "closer.invite.tokens": "See the passages that surprise it most, token by token.",
    "closer.invite.errors": "See the items that it does worst on.",
    "closer.working": "Asking the model about each item",
    "closer.opening": "Opening the data …",
    "closer.progress": "{done} of {total}",
    "closer.stopped": "Stopped.",
    "closer.empty": "There is no item in this split.",
    "closer.none": "No item is of this kind.",
    "closer.true": "True class",
    "closer.true.any": "Every class",
    "closer.said": "What was said",
    "closer.said.any": "Every answer",
    "closer.said.wrong": "Any wrong answer",
    "closer.lead.cell": "{true} taken for {said}: {count} of {all} items, the worst first.",
    "closer.lead.right": "{true} recognised: {count} of {all} items, the least sure first.",
    "closer.lead.all": "{count} of {all} items, the worst first.",
    "closer.lead.which.missed": "{count} of {all} items are {class} and aren't said so.",
    "closer.lead.which.false": "{count} of {all} items are said to be {class} and aren't.",
    "closer.lead.bin": "{count} of {all} items that it was about as sure of, the worst first.",
    "closer.lead.point": "The item of this point.",
    "closer.chip.bin": "As sure as this",
    "closer.chip.point": "One point of the map",
    "closer.sure.open": "{count}: show these items",
    "closer.chip.missed": "{class}, missed at {share}",
    "closer.chip.false": "Falsely {class} at {share}",
    "closer.scaled": "Probabilities are over the temperature {temperature}.",
    "closer.own": "labelled {label}: {share}",
    "closer.own.help": "The probability of the true class",
    "closer.error": "Loss {error}",
    "closer.tokens.share": "Its probability was {share}",
    "closer.tokens.mean": (
        "{nats} nats a token. The darker, the more surprising; underlined: less likely than 1 %."
    ),
    "closer.how": (
        "Choose items to give them another label, leave them out or move them: the dataset gets a "
        "new version, and this run keeps its own."
    ),
    "closer.fixed_data": "These data come along with Anneal and can't be changed.",
    "closer.newer": (
        "“{name}” is at version {version} by now; this run learned from version {then}. Train "
        "again with what you changed:"
    ),
    "closer.go_on": "Go on from these weights",
    "closer.anew": "Train anew",
    "closer.now.out": "left out by now",
    "closer.now.label": "{label} by now",
    "closer.now.split": "in {split} by now",
    "closer.how.substitute": "Other words",
    "closer.how.insert": "Too much",
    "closer.how.delete": "Missing",
    "closer.text.reference": "Reference",
    "closer.text.written": "Written",
    "closer.text.nothing": "(nothing)",
    "closer.text.counts": (
        "≠ {substituted} other · + {inserted} too much · − {deleted} missing, of {length}"
    ),
    "closer.sure.right": (
        "On {count} test items it is {confidence} sure on average, and right in {accuracy}: it "
        "knows what it doesn't know."
    ),
    "closer.sure.over": (
        "On {count} test items it is {confidence} sure on average, but right in {accuracy} only: "
        "too sure."
    ),
    "closer.sure.under": (
        "On {count} test items it is {confidence} sure on average, but right in {accuracy}: surer "
        "than it thinks."
    ),
    "closer.sure.perfect": "as sure as right",
    "closer.sure.before": "as it is",
    "closer.sure.after": "over temperature {temperature}",
    "closer.sure.figure": "Reliability: how often it is right, by how sure it is",
    "closer.sure.axes": (
        "Across: how sure it is, on average in each of {bins} bins of equal width. Up: the share "
        "of them that is right. Below the dashed line it is too sure."
    ),
    "closer.sure.ece": "ECE, {bins} bins",
    "closer.sure.nll": "NLL",
    "closer.sure.confidence": "Sure",
    "closer.sure.accuracy": "Right",
    "closer.sure.bins": "The bins as numbers",
    "closer.sure.bin": "Sure between",
    "closer.sure.items": "Items",
    "closer.temperature": (
        "Logits over {temperature} fit the {count} validation items best. The answers stay the "
        "same, only how sure they are changes."
    ),
    "closer.temperature.on": (
        "In use: Predict divides this run's logits by {temperature}, which fits the {count} "
        "validation items best."
    ),
    "closer.temperature.use": "Use temperature {temperature}",
    "closer.temperature.stop": "Take it back",
    "closer.temperature.done": "Predict uses the temperature {temperature} from now on.",
    "closer.temperature.off": "Predict shows the probabilities as they are again.",
    "closer.temperature.none": "There are no validation items to fit a temperature to.",
    "closer.threshold.class": "Say this class from a probability on:",
    "closer.threshold.choice": "{class} (average precision {ap})",
    "closer.threshold.help": "Say {class} when its probability is at least",
    "closer.threshold.precision": "Precision",
    "closer.threshold.recall": "Recall",
    "closer.threshold.f1": "F1",
    "closer.threshold.found": "Found",
    "closer.threshold.missed": "Missed",
    "closer.threshold.false": "Falsely said",
    "closer.threshold.left": "Rightly left",
    "closer.threshold.curve": "precision over recall, average precision {ap}",
    "closer.threshold.here": "at {share}",
    "closer.threshold.figure": "Precision over recall",
    "closer.threshold.axes": (
        "Across: recall, the share of the class that is found. Up: precision, the share of what is "
        "said that is right."
    ),
    "closer.threshold.on.validation": (
        "On the validation items, to choose by; what it costs on new ones, the test items say."
    ),
    "closer.threshold.on.test": (
        "On the test items: choose on the validation items, or it looks better than it is."
    ),
    "closer.labels.ways": "How to find them",
    "closer.labels.way.head": "Quick: five heads",
    "closer.labels.way.whole": "Thorough: five trainings",
    "closer.labels.about.head": (
        "Five linear layers over what this run sees, each asked about items that it hasn't learned "
        "from: seconds. The run itself has learned from these labels, so some that it has learned "
        "by heart aren't noticed."
    ),
    "closer.labels.about.whole": (
        "This run's recipe is trained five times, each time without a fifth of the items, which it "
        "is asked about then: no item is judged by weights that saw its label. It takes about five "
        "times as long as the run; stopped, it goes on from the last whole training."
    ),
    "closer.labels.found": (
        "{count} labels look wrong, the surest first; about {estimated} are estimated to be wrong."
    ),
    "closer.labels.found.one": "1 label looks wrong; about {estimated} are estimated to be wrong.",
    "closer.labels.kept": "{count} you have kept.",
    "closer.labels.none": "No label looks wrong.",
    "closer.labels.settled": "All {count} that looked wrong are settled.",
    "closer.labels.accept": "Accept suggestions",
    "closer.labels.keep": "Keep labels",
    "closer.labels.done": "{count} labels are kept as they are.",
    "closer.labels.done.one": "1 label is kept as it is.",
    "runs.column.name": "Name",
    "runs.column.state": "State",
    "runs.column.model": "Model",
    "runs.column.data": "Data",
    "runs.column.task": "Task",
    "runs.column.validation": "Validation",
    "runs.column.test": "Test",
    "runs.column.spark": "Loss",
    "runs.column.started": "Started",
    "runs.column.seconds": "Took",
    "runs.every_state": "Every state",
    "runs.unfinished": "Not over yet",
    "runs.search.hint": "Search names, notes, tags…",
    "runs.search": "Search runs",
    "runs.comparison": "Comparison",
    "runs.comparison.none": "Without comparisons",
    "runs.comparison.any": "Every run",
    "runs.comparison.one": "Comparison {id} · {name}",
    "runs.tag": "Tag",
    "runs.every_tag": "Every tag",
    "runs.by": "By {column}",
    "runs.sort": "Sort",
    "runs.export": "Export CSV",
    "runs.select_all": "Select all on this page",
    "runs.pages": "Pages of runs",
    "runs.found": "{count} runs found",
    "runs.found_one": "1 run found",
    "runs.count": "{count} runs",
    "runs.count_one": "1 run",
    "runs.nothing": "Nothing trained yet",
    "runs.unmatched": "No run fits",
    "runs.unmatched.help": "Nothing matches this search and these filters.",
    "runs.show_all": "Show all runs",
    "runs.none": "No runs yet",
    "runs.none.help": (
        "Every run that you start is kept here with its settings, its curves and what it measured."
    ),
    "runs.first": "Train the first",
    "runs.newer": "← Newer",
    "runs.older": "Older →",
    "runs.previous": "← Previous",
    "runs.next": "Next →",
    "runs.range": "{first}–{last} of {total}",
    "runs.select": "Select {name}",
    "runs.loss_of": "Loss of {name}",
    "runs.done": "{percent} % done",
    "runs.only_tag": "Show only runs with this tag",
    "runs.tags": "tags",
    "runs.tags.edit": "Edit tags of {name}",
    "runs.note": "note",
    "runs.note.edit": "Edit note of {name}",
    "runs.note.of": "Note of {name}",
    "runs.note.hint": "A note",
    "runs.tags.of": "Tags of {name}, separated by commas",
    "runs.tags.hint": "tag, another",
    "queue.now": "Now",
    "queue.waiting": "Now and next ({count} waiting)",
    "queue.left": "{time} left",
    "runs.bulk": "Selected runs",
    "runs.clear": "Clear",
    "runs.selected": "{count} selected",
    "runs.delete.one": "Delete this run?",
    "runs.delete.many": "Delete these {count} runs?",
    "runs.delete.words": (
        "Their curves, checkpoints and logs are deleted from this computer. This can't be undone."
    ),
    "runs.deleted_one": "1 run deleted.",
    "runs.deleted": "{count} runs deleted.",
    "compare.label": "Curves of all runs",
    "compare.dashes": "Solid: training data. Dotted: validation data.",
    "compare.differs": "What differs",
    "compare.none": "Nothing to compare yet",
    "compare.none.help": "Add runs above, or select some in the history and choose Compare.",
    "compare.choose": "Choose in the history",
    "compare.lead": "Curves over each other, and only what differs",
    "compare.add.hint": "Add a run…",
    "compare.add": "Add a run: its name or number",
    "compare.waiting": "Curves appear here once one of these runs has a first step.",
    "compare.show": "Show {name}",
    "compare.show.help": "Show or hide its curves",
    "compare.remove": "Remove {name}",
    "compare.remove.help": "Remove from the comparison",
    "compare.best": "best",
    "compare.alone": "Add another run to see what differs.",
    "compare.same": "Nothing: these runs have the same settings.",
    "run.folder": "This run's folder lies elsewhere, so it is left alone.",
    "reply.nothing": "There is nothing of that number.",
    "reply.elsewhere": "This came from another site, so it was not done.",
    "reply.too_long": "That is too long.",
    "run.nameless": "A run needs a name.",
    "run.too_long": "That is longer than {count} characters.",
    "run.leftover": (
        "The run is gone from the history, but some of its files could not be deleted: {problem}"
    ),
    "run.no_sample": "This run has no such sample.",
}


def text(key: str, **values: object) -> str:
    """The string of that key with its blanks filled in. KeyError for a key that doesn't exist."""
    return STRINGS[key].format(**values)
