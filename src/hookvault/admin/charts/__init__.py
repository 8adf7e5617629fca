"""Charts as SVG and HTML, drawn on the server: data in, markup out, no colours but by CSS classes (pure)."""
