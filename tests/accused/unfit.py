"""Classes that are not algorithms, or not whole ones: nothing can be tried with them in real
processes, and the message says why. `algorithm:accused.unfit:NAME`.
"""

from slotmem_model.algorithms.striped import Striped


class OnlyTable:
    """It takes and gives back, and has no bytes."""

    def __init__(self, image):
        self.image = image

    def grab(self):
        return 0

    def fgrab(self, item_id):
        pass

    def release(self, item_id):
        pass


class NoFunction(Striped):
    """What has an operation's name is not an operation."""

    put = None


class NoImage(Striped):
    """It wants no image."""

    def __init__(self):
        pass


class Refuses(Striped):
    """Its constructor raises something of its own."""

    def __init__(self, image):
        raise RuntimeError("I am not ready")


class WantsMore(Striped):
    """It asks its image for what no image has."""

    def __init__(self, image):
        super().__init__(image)
        self.semaphore = image.semaphore


not_a_class = Striped.grab

SAID = {
    "OnlyTable": "has no get, put, num_free_slots, and real processes need",
    "NoFunction": "has no put, and real processes need",
    "NoImage": "cannot be made over an image of shared memory: TypeError",
    "Refuses": "RuntimeError('I am not ready')",
    "WantsMore": "AttributeError",
    "not_a_class": "an algorithm is a class, got <function",
    "Nowhere": "cannot be imported",
}
