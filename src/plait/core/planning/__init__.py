"""From a document to a plan, or to every problem with its fix."""
