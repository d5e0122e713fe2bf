"""Actions: enumerated, predicted, priced, constrained, committed."""
