"""What the overview and the dashboard show: which calls are meant, the tiles, the charts, and what needs attention."""
