"""Reports: what people read of runs: tables, figures, pages."""
