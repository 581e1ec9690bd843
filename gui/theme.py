"""One restrained theme, light and dark."""

from __future__ import annotations

import gradio as gr

CHINESE = ("PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC",
           "Source Han Sans SC")  # fmt: skip
"""What each system writes Chinese with; the first font here has no such letters."""


def theme() -> gr.themes.Base:
    """Teal on warm grey; IBM Plex from Gradio's own files."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.stone,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_sm,
        text_size=gr.themes.sizes.text_sm,
        # Only 400 and 700: the other weights that Gradio carries are broken subsets.
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", *CHINESE,
              "sans-serif"],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace",
                   "monospace"],
    ).set(
        body_background_fill="#f5f4f1",
        body_background_fill_dark="#141413",
        body_text_color="#1f1d1a",
        body_text_color_dark="#eceae6",
        body_text_color_subdued="#6b665f",
        body_text_color_subdued_dark="#a8a29e",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1c1c1a",
        block_border_width="0px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_title_text_weight="400",
        block_title_text_color="*body_text_color",
        input_background_fill="#ffffff",
        input_background_fill_dark="#232320",
        input_border_width="1px",
        input_border_color="#cfcbc3",
        input_border_color_dark="#44433e",
        input_shadow="none",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover="#115e59",
        button_primary_background_fill_hover_dark="#0d6760",
        button_primary_text_color="#ffffff",
        button_large_text_weight="700",
        slider_color="#0f766e",
        border_color_primary="#e3e0d9",
        border_color_primary_dark="#33322e",
        layout_gap="14px",
    )  # fmt: skip
