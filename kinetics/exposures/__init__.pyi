from .area import segment_areas as segment_areas
from .fitted import exposure as exposure, exposure_summary as exposure_summary
from .one_at_a_time import (
    Tornado as Tornado,
    tornado as tornado,
    tornado_quantities as tornado_quantities,
)
from .organs import (
    biodistribution as biodistribution,
    biodistribution_summary as biodistribution_summary,
    site_curves as site_curves,
    site_shares as site_shares,
)
from .profile import DEFAULT_RULES as DEFAULT_RULES, NCARules as NCARules
from .samples import CDISC as CDISC, nca as nca, nca_summary as nca_summary, to_pptestcd as to_pptestcd
