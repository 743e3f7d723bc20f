__version__: str

from .api import (
    RegionKernels as RegionKernels,
)
from .api import (
    Segmentation as Segmentation,
)
from .api import (
    SuperResolution as SuperResolution,
)
from .api import (
    estimate_kernel as estimate_kernel,
)
from .api import (
    estimate_kernels as estimate_kernels,
)
from .api import (
    list_methods as list_methods,
)
from .api import (
    segment as segment,
)
from .api import (
    super_resolve as super_resolve,
)
from .estimators.base import Estimator as Estimator
from .imaging.kernels import Kernel as Kernel
from .imaging.pictures import Picture as Picture
from .imaging.regions import Region as Region
from .pipeline.method import Method as Method
from .pipeline.parts import register as register
from .segmenters.base import Segmenter as Segmenter
from .upscalers.base import Upscaler as Upscaler
