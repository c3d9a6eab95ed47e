"""`recallr reindex`: everything that is remembered is embedded anew, after a change of the embedding model.

The collection of the new model is made to hold the same points with new vectors (`copying`), while gateways go on to
use the old one; then it is marked as ready (`job`), and a gateway that starts with the new model takes it over.
"""

from recallr_litellm.reindex.job import Outcome, Reindex

__all__ = ["Outcome", "Reindex"]
