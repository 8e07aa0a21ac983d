"""The benchmark: `bin/bench`. Ratios against peers measured in the same run; nothing here is collected by pytest."""
