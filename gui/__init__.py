"""What a person sees and clicks: Gradio pages over the history and the catalogue."""

import os

# Read once, when gradio is imported: without these it would report to other hosts.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
