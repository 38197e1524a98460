from .curves import (
    QUANTILES as QUANTILES,
    curve_times as curve_times,
    individual_curves as individual_curves,
    observed_assays as observed_assays,
    population_tables as population_tables,
)
from .new_patients import Prediction as Prediction, held_out as held_out, predict as predict
from .patients import (
    ParameterSource as ParameterSource,
    chosen_model as chosen_model,
    independent_effects as independent_effects,
    numbered_patients as numbered_patients,
    patients_of_each_draw as patients_of_each_draw,
    population_draws as population_draws,
    virtual_population as virtual_population,
)
from .records import (
    Replicates as Replicates,
    individual_records as individual_records,
    record_times as record_times,
    simulate_records as simulate_records,
    typical_records as typical_records,
)
from .sampling_design import (
    Added as Added,
    design_information as design_information,
    most_informative as most_informative,
)
from .simulated_curves import (
    Simulation as Simulation,
    curve_bands as curve_bands,
    gave_up_text as gave_up_text,
    peak_table as peak_table,
    simulate as simulate,
    simulate_chunks as simulate_chunks,
    simulated_values as simulated_values,
    simulation as simulation,
)
from .solutions import (
    DRAWS as DRAWS,
    common_days as common_days,
    keep_curves as keep_curves,
    own_blocks as own_blocks,
    predicted_blocks as predicted_blocks,
)
from .times_of_text import days_of_text as days_of_text
