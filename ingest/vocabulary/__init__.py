"""The words that everybody uses: quantities, sources, readings, batches."""
