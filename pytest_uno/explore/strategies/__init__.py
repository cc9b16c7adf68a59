"""Who chooses which completion comes next: stock order, holds, POS, PCT, and all of them in turn."""
