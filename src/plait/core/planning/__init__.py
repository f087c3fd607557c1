"""From a document to a plan, or to every reason against it, each with its mend."""
