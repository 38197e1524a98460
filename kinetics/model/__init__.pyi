from .composition import compose as compose, prefixed as prefixed
from .model import (
    Balance as Balance,
    Derived as Derived,
    Model as Model,
    Output as Output,
    Parameter as Parameter,
    State as State,
    allowed as allowed,
    library_models as library_models,
    load_file as load_file,
    load_model as load_model,
)
from .priors import (
    Correlation as Correlation,
    HalfCauchy as HalfCauchy,
    HalfNormal as HalfNormal,
    Link as Link,
    LogitNormal as LogitNormal,
    LogNormal as LogNormal,
    Normal as Normal,
    Prior as Prior,
    describe as describe,
    inverse_link as inverse_link,
    link as link,
)
from .trust import model_file as model_file, remember as remember
